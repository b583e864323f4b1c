// SPDX-License-Identifier: Apache-2.0
#include "kernels/timing.hpp"

#include <chrono>
#include <cstdint>
#include <emmintrin.h>

namespace petnet::kernels {
namespace {

class host_stopwatch final : public stopwatch {
  public:
    explicit host_stopwatch(backend& device) : device_(device) {}
    void start() override { start_ = now(); }
    void stop() override { stop_ = now(); }
    [[nodiscard]] double seconds() override { return std::chrono::duration<double>(stop_ - start_).count(); }

  private:
    using clock = std::chrono::steady_clock;
    clock::time_point now() {
        device_.wait(device_.mark());
        return clock::now();
    }

    backend& device_;
    clock::time_point start_, stop_;
};

} // namespace

std::unique_ptr<stopwatch> make_stopwatch(backend& device) {
    if (auto* timed = dynamic_cast<timed_device*>(&device)) return timed->make_stopwatch();
    return std::make_unique<host_stopwatch>(device);
}

void evict(backend& device, std::span<const std::byte> memory) {
    if (auto* timed = dynamic_cast<timed_device*>(&device)) {
        timed->evict(memory);
        return;
    }
    if (memory.empty()) return;
    constexpr std::uintptr_t line = 64; // bytes, on every x86-64 processor
    const std::byte* const end = memory.data() + memory.size();
    const std::byte* at = memory.data() - reinterpret_cast<std::uintptr_t>(memory.data()) % line;
    for (; at < end; at += line) _mm_clflush(at);
    _mm_mfence(); // waits for the last of them
}

} // namespace petnet::kernels
