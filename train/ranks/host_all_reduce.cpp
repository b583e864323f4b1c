// SPDX-License-Identifier: Apache-2.0
#include "train/ranks/host_all_reduce.hpp"

#include "base/errors.hpp"
#include "kernels/function_operation.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace petnet::ranks {
namespace {

using bucket = std::vector<std::span<float>>;

class host_all_reduce final : public kernels::all_reduce {
  public:
    host_all_reduce(kernels::backend& device, communicator& ranks)
        : device_(device), ranks_(ranks), thread_([this] { work(); }) {}

    ~host_all_reduce() override {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }

    std::unique_ptr<kernels::operation> begin(std::vector<kernels::tensor_view> tensors) override {
        bucket values;
        for (const kernels::tensor_view& tensor : tensors) values.push_back(device_.host_values(tensor));
        return kernels::make_operation(0, [this, values = std::move(values)](std::byte*) {
            {
                const std::lock_guard lock(mutex_);
                waiting_.push_back(&values);
            }
            changed_.notify_all();
        });
    }

    std::unique_ptr<kernels::operation> finish() override {
        return kernels::make_operation(0, [this](std::byte*) {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return failure_ || waiting_.empty(); });
            if (failure_) std::rethrow_exception(failure_);
        });
    }

  private:
    // After a failure nothing more is averaged: the training is over.
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [&] { return stopping_ || (!failure_ && !waiting_.empty()); });
            if (stopping_) return;
            const bucket& next = *waiting_.front();
            lock.unlock();
            std::exception_ptr failure;
            try {
                average(next);
            } catch (...) {
                failure = std::current_exception();
            }
            lock.lock();
            waiting_.pop_front();
            failure_ = failure;
            changed_.notify_all();
        }
    }

    // In one piece: a message costs more than a copy.
    void average(const bucket& tensors) {
        values_.clear();
        for (const std::span<float> tensor : tensors)
            values_.insert(values_.end(), tensor.begin(), tensor.end());
        ranks_.all_reduce(values_);
        const float part = 1.0F / static_cast<float>(ranks_.size());
        auto from = values_.cbegin();
        for (const std::span<float> tensor : tensors)
            for (float& value : tensor) value = *from++ * part;
    }

    kernels::backend& device_;
    communicator& ranks_;
    std::vector<float> values_; // of the bucket in work
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<const bucket*> waiting_; // the first one is in work
    std::exception_ptr failure_;
    bool stopping_ = false;
    std::thread thread_; // last: it uses all of the above
};

bool is_in_host_memory(kernels::backend& device) {
    const kernels::tensor_desc one{kernels::dtype::f32, {1}, 0};
    const kernels::device_memory memory = device.allocate(device.storage_bytes(one));
    return !device.host_values({one, memory.get()}).empty();
}

} // namespace

std::unique_ptr<kernels::all_reduce> make_all_reduce(kernels::backend& device, communicator& ranks) {
    if (auto made = device.make_all_reduce(
            {ranks.rank(), ranks.size(), [&](std::span<std::byte> bytes) { ranks.broadcast(bytes); }}))
        return made;
    if (!is_in_host_memory(device))
        throw usage_error("--device " + device.name() + " trains in one process only");
    return std::make_unique<host_all_reduce>(device, ranks);
}

} // namespace petnet::ranks
