// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/timing.hpp"

namespace petnet::kernels::cuda {
namespace {

class event_stopwatch final : public stopwatch {
  public:
    explicit event_stopwatch(cudaStream_t on_stream) : stream_(on_stream) {}
    void start() override { record(start_); }
    void stop() override { record(stop_); }
    [[nodiscard]] double seconds() override {
        check(cudaEventSynchronize(stop_.get()), doing);
        float milliseconds = 0;
        check(cudaEventElapsedTime(&milliseconds, start_.get(), stop_.get()), doing);
        return 1e-3 * static_cast<double>(milliseconds);
    }

  private:
    static constexpr const char* doing = "timing the GPU";
    void record(const event& at) { check(cudaEventRecord(at.get(), stream_), doing); }

    cudaStream_t stream_;
    event start_ = make_timing_event(), stop_ = make_timing_event();
};

} // namespace

std::unique_ptr<stopwatch> make_event_stopwatch(cudaStream_t on_stream) {
    return std::make_unique<event_stopwatch>(on_stream);
}

void cache_eviction::run() {
    if (!scratch_) scratch_ = make_device_buffer(bytes_);
    check(cudaMemsetAsync(scratch_.get(), 0, bytes_, stream_), "emptying the GPU's cache");
}

} // namespace petnet::kernels::cuda
