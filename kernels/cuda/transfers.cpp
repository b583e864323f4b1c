// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/transfers.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace petnet::kernels::cuda {
namespace {

constexpr std::size_t smallest_buffer = 4096;

// Has everything up to the event been done? Errors of earlier work come out here.
bool is_done(cudaEvent_t event) {
    const cudaError_t result = cudaEventQuery(event);
    if (result == cudaErrorNotReady) return false;
    check(result, "a training step on the GPU");
    return true;
}

} // namespace

transfers::transfers(cudaStream_t compute) : compute_(compute) {}

transfers::~transfers() {
    static_cast<void>(cudaStreamSynchronize(copies_.get()));
    static_cast<void>(cudaStreamSynchronize(compute_));
}

transfers::staging& transfers::free_staging(std::size_t bytes) {
    staging* tightest = nullptr; // small uploads leave the large buffers to the large
    for (staging& s : uploads_)
        if (s.capacity >= bytes && (tightest == nullptr || s.capacity < tightest->capacity) &&
            is_done(s.done.get()))
            tightest = &s;
    if (tightest != nullptr) return *tightest;
    // A quarter more: the next one, that nothing was prepared for either, may be larger.
    const std::size_t capacity = std::max(bytes + bytes / 4, smallest_buffer);
    add_staging(make_device_buffer(capacity), capacity);
    return uploads_.back();
}

void transfers::add_staging(device_buffer device, std::size_t capacity) {
    uploads_.push_back(
        {capacity, make_pinned_buffer(capacity), std::move(device), make_event(), make_event()});
}

void transfers::prepare_uploads(std::size_t bytes) {
    constexpr int under_way = 3; // steps: the one that runs, the next, and the one that is being given
    std::erase_if(uploads_, [](const staging& s) { return is_done(s.done.get()); });
    for (int i = 0; i < under_way && bytes > 0; ++i) {
        device_buffer device = try_device_buffer(bytes);
        if (!device) return;
        add_staging(std::move(device), bytes);
    }
}

void transfers::upload(std::byte* to, std::span<const std::byte> bytes) {
    staging& s = free_staging(bytes.size());
    std::memcpy(s.host.get(), bytes.data(), bytes.size());
    constexpr const char* doing = "copying to the GPU";
    check(cudaMemcpyAsync(s.device.get(), s.host.get(), bytes.size(), cudaMemcpyHostToDevice, copies_.get()),
          doing);
    check(cudaEventRecord(s.copied.get(), copies_.get()), doing);
    check(cudaStreamWaitEvent(compute_, s.copied.get(), 0), doing);
    check(cudaMemcpyAsync(to, s.device.get(), bytes.size(), cudaMemcpyDeviceToDevice, compute_), doing);
    check(cudaEventRecord(s.done.get(), compute_), doing);
}

transfers::late_read& transfers::free_read(std::size_t bytes) {
    for (late_read& r : reads_)
        if (r.due == 0 && r.capacity >= bytes) return r;
    // A quarter more: the next one, that nothing was prepared for either, may be larger.
    const std::size_t capacity = std::max(bytes + bytes / 4, smallest_buffer);
    reads_.push_back({.capacity = capacity, .host = make_pinned_buffer(capacity), .deliver = {}});
    return reads_.back();
}

void transfers::read_later(const std::byte* from, std::size_t bytes,
                           std::function<void(std::span<const std::byte>)> deliver) {
    late_read& r = free_read(bytes);
    check(cudaMemcpyAsync(r.host.get(), from, bytes, cudaMemcpyDeviceToHost, compute_),
          "reading from the GPU");
    r.size = bytes;
    r.deliver = std::move(deliver);
    r.due = last_ + 1;
}

work_mark transfers::mark() {
    event done;
    if (spare_events_.empty()) {
        done = make_event();
    } else {
        done = std::move(spare_events_.back());
        spare_events_.pop_back();
    }
    check(cudaEventRecord(done.get(), compute_), "marking a place in the GPU's work");
    markers_.push_back({++last_, std::move(done)});
    return last_;
}

bool transfers::reached(work_mark mark) {
    const auto found = std::ranges::find(markers_, mark, &marker::number);
    if (found != markers_.end() && !is_done(found->done.get())) return false;
    wait(mark);
    return true;
}

void transfers::wait(work_mark mark) {
    while (!markers_.empty() && markers_.front().number <= mark) {
        check(cudaEventSynchronize(markers_.front().done.get()), "a training step on the GPU");
        spare_events_.push_back(std::move(markers_.front().done));
        markers_.pop_front();
    }
    for (late_read& r : reads_) {
        if (r.due == 0 || r.due > mark) continue;
        r.due = 0;
        std::exchange(r.deliver, {})(std::span<const std::byte>(r.host.get(), r.size));
    }
}

} // namespace petnet::kernels::cuda
