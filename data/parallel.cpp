// SPDX-License-Identifier: Apache-2.0
#include "data/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace petnet::data {

void for_each_in_parallel(std::size_t count, std::size_t chunk, unsigned threads,
                          const std::function<void(std::size_t)>& act) {
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    const auto work = [&] {
        try {
            for (std::size_t from = next.fetch_add(chunk); from < count; from = next.fetch_add(chunk))
                for (std::size_t i = from; i < std::min(from + chunk, count); ++i) act(i);
        } catch (...) {
            next = count;
            const std::lock_guard lock(mutex);
            failure = std::current_exception();
        }
    };
    if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
    const std::size_t useful = std::min<std::size_t>(threads, count / chunk + 1);
    {
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < useful; ++i) others.emplace_back(work);
        work();
    }
    if (failure) std::rethrow_exception(failure);
}

} // namespace petnet::data
