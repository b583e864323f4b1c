// SPDX-License-Identifier: Apache-2.0
// Copies and multiply-adds on all cores, as simple as they can be: no library is between them and the
// machine.
#include "bench/peaks.hpp"
#include "bench/statistics.hpp"
#include "bench/step_under_test.hpp"

#include <algorithm>
#include <barrier>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <immintrin.h>
#include <memory>
#include <new>
#include <sched.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace petnet::bench {
namespace {

// Of the processors that share a core, the first; itself where Linux does not say.
std::size_t first_of_its_core(std::size_t processor) {
    std::ifstream siblings("/sys/devices/system/cpu/cpu" + std::to_string(processor) +
                           "/topology/thread_siblings_list");
    std::size_t first = processor;
    siblings >> first;
    return siblings ? first : processor;
}

// The processors that this process may use, first one of each core.
std::vector<std::size_t> allowed_processors() {
    cpu_set_t allowed;
    std::vector<std::size_t> found;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        for (std::size_t i = 0; i < CPU_SETSIZE; ++i)
            if (CPU_ISSET(i, &allowed)) found.push_back(i);
    std::stable_partition(found.begin(), found.end(),
                          [](std::size_t i) { return first_of_its_core(i) == i; });
    return found;
}

// A new thread begins where its maker runs, and may be moved to an idle processor only after the work is
// done.
void stay_on(std::size_t processor) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    ::sched_setaffinity(0, sizeof only, &only); // where that is forbidden, the figures scatter
}

// Seconds from when the first thread begins `work(thread)` until the last has done it. The threads read the
// clock themselves: one that waits for them may itself be waiting for a processor.
double seconds_on(int threads, const std::function<void(int)>& work) {
    const std::vector<std::size_t> processors = allowed_processors();
    const auto count = static_cast<std::size_t>(threads);
    std::barrier begin(threads);
    std::vector<double> began(count), ended(count);
    {
        std::vector<std::jthread> running;
        running.reserve(count);
        for (std::size_t i = 0; i < count; ++i)
            running.emplace_back([&, i] {
                if (i < processors.size()) stay_on(processors[i]);
                begin.arrive_and_wait();
                began[i] = seconds_now();
                work(static_cast<int>(i));
                ended[i] = seconds_now();
            });
    }
    return std::ranges::max(ended) - std::ranges::min(began);
}

double median_seconds_on(int threads, const std::function<void(int)>& work) {
    constexpr int warm_up = 1, count = 9;
    std::vector<double> seconds;
    seconds.reserve(count);
    for (int i = 0; i < warm_up + count; ++i) {
        const double each = seconds_on(threads, work);
        if (i >= warm_up) seconds.push_back(each);
    }
    return median_of(seconds);
}

constexpr std::size_t line = 16; // values in a line of the cache

// Both copy whole lines; `count` values.
void copy_ordinarily(float* to, const float* from, std::size_t count) {
    for (std::size_t i = 0; i < count; i += line) {
        const __m128 a = _mm_load_ps(from + i), b = _mm_load_ps(from + i + 4), c = _mm_load_ps(from + i + 8),
                     d = _mm_load_ps(from + i + 12);
        _mm_store_ps(to + i, a);
        _mm_store_ps(to + i + 4, b);
        _mm_store_ps(to + i + 8, c);
        _mm_store_ps(to + i + 12, d);
        asm volatile("" ::: "memory"); // or the compiler calls memcpy, which chooses by itself
    }
}
// The wider the store, the more of them are on their way to memory at once.
[[gnu::target("avx512f")]] void copy_past_the_caches_avx512(float* to, const float* from, std::size_t count) {
    for (std::size_t i = 0; i < count; i += line) _mm512_stream_ps(to + i, _mm512_load_ps(from + i));
    _mm_sfence();
}
[[gnu::target("avx")]] void copy_past_the_caches_avx(float* to, const float* from, std::size_t count) {
    for (std::size_t i = 0; i < count; i += line)
        for (std::size_t j = i; j < i + line; j += 8) _mm256_stream_ps(to + j, _mm256_load_ps(from + j));
    _mm_sfence();
}
void copy_past_the_caches_sse(float* to, const float* from, std::size_t count) {
    for (std::size_t i = 0; i < count; i += line)
        for (std::size_t j = i; j < i + line; j += 4) _mm_stream_ps(to + j, _mm_load_ps(from + j));
    _mm_sfence();
}

// One iteration: this many multiply-adds that do not wait for each other, on whole vectors. Enough of them to
// keep two units of four or five cycles' latency busy, few enough for the registers.
constexpr int chains = 12;

[[gnu::target("avx512f")]] void multiply_add_avx512(std::int64_t iterations) {
    __m512 sums[chains];
    for (__m512& sum : sums) sum = _mm512_set1_ps(1);
    const __m512 factor = _mm512_set1_ps(0.999F), term = _mm512_set1_ps(0.001F);
    for (std::int64_t i = 0; i < iterations; ++i)
        for (__m512& sum : sums) {
            sum = _mm512_fmadd_ps(sum, factor, term);
            asm volatile("" : "+v"(sum)); // computed, in a register
        }
}
[[gnu::target("avx2,fma")]] void multiply_add_avx2(std::int64_t iterations) {
    __m256 sums[chains];
    for (__m256& sum : sums) sum = _mm256_set1_ps(1);
    const __m256 factor = _mm256_set1_ps(0.999F), term = _mm256_set1_ps(0.001F);
    for (std::int64_t i = 0; i < iterations; ++i)
        for (__m256& sum : sums) {
            sum = _mm256_fmadd_ps(sum, factor, term);
            asm volatile("" : "+x"(sum));
        }
}
void multiply_add_sse(std::int64_t iterations) {
    __m128 sums[chains];
    for (__m128& sum : sums) sum = _mm_set1_ps(1);
    const __m128 factor = _mm_set1_ps(0.999F), term = _mm_set1_ps(0.001F);
    for (std::int64_t i = 0; i < iterations; ++i)
        for (__m128& sum : sums) {
            sum = _mm_add_ps(_mm_mul_ps(sum, factor), term);
            asm volatile("" : "+x"(sum));
        }
}

struct free_memory {
    void operator()(float* memory) const { std::free(memory); }
};

} // namespace

double processor_copy_gb_per_s(int threads) {
    const long cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
    const auto least = std::size_t{256} << 20;
    const std::size_t bytes = std::max(least, 4 * static_cast<std::size_t>(std::max(cache, 0L)));
    constexpr std::size_t page = 4096;
    const std::size_t share = bytes / static_cast<std::size_t>(threads) / page * page; // of one thread
    std::vector<std::unique_ptr<float, free_memory>> from, to;
    for (int i = 0; i < threads; ++i) {
        from.emplace_back(static_cast<float*>(std::aligned_alloc(page, share)));
        to.emplace_back(static_cast<float*>(std::aligned_alloc(page, share)));
        if (!from.back() || !to.back()) throw std::bad_alloc();
    }
    const std::size_t count = share / sizeof(float);
    // Pages lie where the thread that touches them first runs.
    static_cast<void>(seconds_on(threads, [&](int thread) {
        const auto at = static_cast<std::size_t>(thread);
        std::fill_n(from[at].get(), count, 1.5F);
        std::fill_n(to[at].get(), count, 0.0F);
    }));
    double best = 0;
    const auto past_the_caches = __builtin_cpu_supports("avx512f") ? copy_past_the_caches_avx512
                                 : __builtin_cpu_supports("avx")   ? copy_past_the_caches_avx
                                                                   : copy_past_the_caches_sse;
    for (const auto copy : {copy_ordinarily, past_the_caches}) {
        const double seconds = median_seconds_on(threads, [&](int thread) {
            const auto at = static_cast<std::size_t>(thread);
            copy(to[at].get(), from[at].get(), count);
        });
        best = std::max(best, 2e-9 * static_cast<double>(share) * threads / seconds);
    }
    return best;
}

double processor_fma_gflop_per_s(int threads) {
    struct variant {
        void (*run)(std::int64_t);
        double lanes;
    };
    const variant here = __builtin_cpu_supports("avx512f") ? variant{multiply_add_avx512, 16}
                         : __builtin_cpu_supports("fma")   ? variant{multiply_add_avx2, 8}
                                                           : variant{multiply_add_sse, 4};
    constexpr std::int64_t iterations = 10'000'000; // 10 to 30 ms
    const double seconds = median_seconds_on(threads, [&](int) { here.run(iterations); });
    return 2e-9 * chains * here.lanes * static_cast<double>(iterations) * threads / seconds;
}

} // namespace petnet::bench
