// SPDX-License-Identifier: Apache-2.0
#include "data/check_photographs.hpp"

#include "base/files.hpp"
#include "data/decode.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace petnet::data {
namespace {

constexpr std::size_t large = 64'000'000;

class photograph_checker {
  public:
    explicit photograph_checker(const image_folder& folder) : folder_(folder) {}

    // Checks until none is left; an exception ends it on all threads.
    void work(const std::function<void()>& after_each) {
        try {
            rgb_image image;
            for (std::size_t i = next_.fetch_add(1); i < folder_.photos.size(); i = next_.fetch_add(1)) {
                check(i, image);
                done_.fetch_add(1);
                if (after_each) after_each();
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!failure_) failure_ = std::current_exception();
            next_.store(folder_.photos.size());
        }
    }

    [[nodiscard]] std::size_t done() const { return done_.load(); }

    // With no thread at work any more.
    [[nodiscard]] photograph_check result() {
        if (failure_) std::rethrow_exception(failure_);
        photograph_check result{folder_.photos.size() - broken_.size(), folder_.broken};
        result.broken.insert(result.broken.end(), broken_.begin(), broken_.end());
        std::ranges::sort(result.broken, {}, &broken_photo::name);
        return result;
    }

  private:
    void check(std::size_t i, rgb_image& image) {
        const std::string& name = folder_.photos[i].name;
        try {
            const mapped_file file(folder_.path_of(i));
            std::unique_lock one_at_a_time(large_, std::defer_lock);
            if (decode_bytes(file.bytes()) > large) one_at_a_time.lock();
            decode(file.bytes(), name, image);
            if (one_at_a_time.owns_lock()) image = {};
        } catch (const input_error& e) {
            const std::lock_guard lock(mutex_);
            broken_.push_back({name, e.what()});
        }
    }

    const image_folder& folder_;
    std::atomic<std::size_t> next_ = 0, done_ = 0;
    std::mutex mutex_, large_;
    std::vector<broken_photo> broken_;
    std::exception_ptr failure_;
};

} // namespace

photograph_check check_photographs(const std::filesystem::path& folder, const work_listener& listener) {
    const image_folder photographs = open_image_folder(folder);
    photograph_checker checker(photographs);
    using clock = std::chrono::steady_clock;
    const auto begun = clock::now();
    auto reported = begun;
    const auto report = [&] {
        listener.throw_if_stopping();
        const auto now = clock::now();
        if (now - reported < std::chrono::milliseconds(200)) return;
        reported = now;
        const auto done = static_cast<double>(checker.done());
        listener.progress({.what = "checking photographs",
                           .done = checker.done(),
                           .total = photographs.photos.size(),
                           .per_second = done / std::chrono::duration<double>(now - begun).count(),
                           .in_bytes = false});
    };
    {
        std::vector<std::jthread> others;
        for (unsigned i = 1; i < std::max(1U, std::thread::hardware_concurrency()); ++i)
            others.emplace_back([&] { checker.work({}); });
        checker.work(report);
    }
    return checker.result();
}

} // namespace petnet::data
