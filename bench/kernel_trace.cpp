// SPDX-License-Identifier: Apache-2.0
// How long the GPU works and how long it idles, kernel by kernel, as CUPTI records it: a library that the
// CUDA driver loads into any program that runs with CUDA_INJECTION64_PATH naming it. At the program's end it
// writes a Markdown table to the file that PETNET_KERNEL_TRACE names, of the last half of what the GPU did:
// there a program that warms up, then repeats a step, does nothing but repeat it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cupti.h>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace {

struct record {
    std::uint64_t start, end; // nanoseconds
    std::string name;
};

// Never destroyed: CUPTI's thread may deliver until the process is gone.
struct trace_state {
    std::mutex lock;
    std::vector<record> records;
};
trace_state& state() {
    static trace_state& kept = *new trace_state;
    return kept;
}

constexpr std::size_t buffer_bytes = std::size_t{8} << 20;

void CUPTIAPI request_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
    *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, buffer_bytes));
    *size = *buffer == nullptr ? 0 : buffer_bytes;
    *most_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t filled) {
    trace_state& to = state();
    const std::lock_guard hold(to.lock);
    CUpti_Activity* each = nullptr;
    while (cuptiActivityGetNextRecord(buffer, filled, &each) == CUPTI_SUCCESS) {
        if (each->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
            const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(each);
            to.records.push_back({kernel->start, kernel->end, kernel->name == nullptr ? "?" : kernel->name});
        } else if (each->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
            // A copy to the device runs beside the kernels and is no work of theirs.
            const auto* copy = reinterpret_cast<const CUpti_ActivityMemcpy6*>(each);
            if (copy->copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOD)
                to.records.push_back({copy->start, copy->end, "copy on the device"});
        } else if (each->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
            const auto* set = reinterpret_cast<const CUpti_ActivityMemset4*>(each);
            to.records.push_back({set->start, set->end, "memset"});
        }
    }
    std::free(buffer);
}

void write_table(std::FILE* to, std::vector<record>& records) {
    std::ranges::sort(records, {}, &record::start);
    const std::span<const record> last = std::span(records).subspan(records.size() / 2);
    if (last.size() < 2) {
        std::fputs("nothing was recorded\n", to);
        return;
    }
    std::uint64_t busy = 0, until = last.front().start;
    struct total {
        std::uint64_t nanoseconds = 0, count = 0;
    };
    std::map<std::string, total> kernels;
    for (const record& r : last) {
        if (r.end > until) busy += r.end - std::max(r.start, until);
        until = std::max(until, r.end);
        total& kernel = kernels[r.name];
        kernel.nanoseconds += r.end - r.start;
        ++kernel.count;
    }
    const double span = static_cast<double>(until - last.front().start);
    std::fprintf(to, "idle %.2f %% of %.1f ms, %zu kernels and copies\n\n",
                 100 * (1 - static_cast<double>(busy) / span), 1e-6 * span, last.size());
    std::vector<std::pair<std::string, total>> sorted(kernels.begin(), kernels.end());
    std::ranges::sort(sorted, std::greater{}, [](const auto& each) { return each.second.nanoseconds; });
    std::fputs("| % of the time | us each | count | kernel |\n|---|---|---|---|\n", to);
    for (const auto& [name, kernel] : sorted) {
        const auto nanoseconds = static_cast<double>(kernel.nanoseconds);
        std::fprintf(to, "| %.2f | %.2f | %llu | %.100s |\n", 100 * nanoseconds / span,
                     1e-3 * nanoseconds / static_cast<double>(kernel.count),
                     static_cast<unsigned long long>(kernel.count), name.c_str());
    }
}

void finish() {
    const CUptiResult flushed = cuptiActivityFlushAll(1);
    const char* file = std::getenv("PETNET_KERNEL_TRACE");
    std::FILE* to = file == nullptr ? nullptr : std::fopen(file, "w");
    if (to == nullptr) return;
    trace_state& from = state();
    const std::lock_guard hold(from.lock);
    if (flushed != CUPTI_SUCCESS) std::fprintf(to, "CUPTI's error %d\n", static_cast<int>(flushed));
    write_table(to, from.records);
    std::fclose(to);
}

} // namespace

// What the driver calls first.
extern "C" [[gnu::visibility("default")]] int InitializeInjection() {
    if (cuptiActivityRegisterCallbacks(request_buffer, take_buffer) != CUPTI_SUCCESS) return 0;
    for (const CUpti_ActivityKind kind :
         {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET})
        if (const CUptiResult result = cuptiActivityEnable(kind); result != CUPTI_SUCCESS) {
            std::fprintf(stderr, "kernel_trace: CUPTI's error %d\n", static_cast<int>(result));
            return 0;
        }
    std::atexit(finish);
    return 1;
}
