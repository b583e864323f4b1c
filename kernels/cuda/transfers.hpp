// SPDX-License-Identifier: Apache-2.0
// Copies that do not wait: uploads on a stream of their own, beside the step that is under way, and results
// that are read back late.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/resources.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <vector>

namespace petnet::kernels::cuda {

class transfers {
  public:
    // `compute` outlives this; everything is ordered with the work on it.
    explicit transfers(cudaStream_t compute);
    transfers(const transfers&) = delete; // copies in flight hold addresses
    transfers& operator=(const transfers&) = delete;
    ~transfers();

    // `to` (in device memory) receives `bytes` between the work queued on `compute` before and after. They
    // are copied to pinned memory before the call returns, and to the device while older work still runs: the
    // last, short copy on `compute` is from the device's own memory.
    void upload(std::byte* to, std::span<const std::byte> bytes);
    // backend::prepare_uploads.
    void prepare_uploads(std::size_t bytes);

    // Queues a read of `bytes` bytes; `deliver` is called with them by wait() of a mark made afterwards.
    void read_later(const std::byte* from, std::size_t bytes,
                    std::function<void(std::span<const std::byte>)> deliver);
    [[nodiscard]] work_mark mark();
    [[nodiscard]] bool reached(work_mark mark);
    void wait(work_mark mark);

  private:
    // Memory for one upload, on both sides; free again when `done` is reached.
    struct staging {
        std::size_t capacity = 0;
        pinned_buffer host;
        device_buffer device;
        event copied, done;
    };
    struct late_read {
        std::size_t capacity = 0, size = 0;
        pinned_buffer host;
        std::function<void(std::span<const std::byte>)> deliver;
        work_mark due = 0; // 0: free
    };
    struct marker {
        work_mark number = 0;
        event done;
    };
    void add_staging(device_buffer device, std::size_t capacity);
    [[nodiscard]] staging& free_staging(std::size_t bytes);
    [[nodiscard]] late_read& free_read(std::size_t bytes);

    cudaStream_t compute_;
    stream copies_ = make_stream();
    std::vector<staging> uploads_;
    std::vector<late_read> reads_;
    std::deque<marker> markers_; // not reached yet, in order
    std::vector<event> spare_events_;
    work_mark last_ = 0;
};

} // namespace petnet::kernels::cuda
