// SPDX-License-Identifier: Apache-2.0
// Barriers, warps, shared memory and the orders of threads.
#include "kernels/cuda/shared_memory.cuh"
#include "tests/cuda_host/sanitizer.hpp"
#include "tests/cuda_host/test_kernels.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <numeric>
#include <set>
#include <vector>

namespace cuda_host {
namespace {

using petnet::kernels::cuda::shared_memory;
using testing::HasSubstr;
using testing::ThrowsMessage;

class cuda_scheduler : public cuda_test {};

constexpr unsigned int block = 256;

// Each block sums `block` numbers as a tree; without barriers wrong where a thread runs ahead.
template <bool barriers> __global__ void tree_sum(const int* from, int* to) {
    struct numbers {
        int at[block];
    };
    auto& shared = shared_memory<numbers>();
    shared.at[threadIdx.x] = from[blockIdx.x * block + threadIdx.x];
    for (unsigned int half = block / 2; half > 0; half /= 2) {
        if constexpr (barriers) __syncthreads();
        if (threadIdx.x < half) shared.at[threadIdx.x] += shared.at[threadIdx.x + half];
    }
    if (threadIdx.x == 0) to[blockIdx.x] = shared.at[0];
}

// Sums of warps by shuffles, then of the warps by the first one; the barrier between lies behind the
// collectives.
template <bool barrier> __global__ void warp_sum(const int* from, int* to) {
    auto& shared = shared_memory<int[block / 32]>();
    int sum = from[blockIdx.x * block + threadIdx.x];
    for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xFFFFFFFF, sum, lanes);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = sum;
    if constexpr (barrier) __syncthreads();
    if (threadIdx.x >= 32) return;
    sum = threadIdx.x < block / 32 ? shared[threadIdx.x] : 0;
    for (unsigned int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_down_sync(0xFFFFFFFF, sum, lanes);
    if (threadIdx.x == 0) to[blockIdx.x] = sum;
}

struct sums {
    std::vector<int> from = std::vector<int>(block * 3), to = std::vector<int>(3), right = to;
    sums() {
        std::iota(from.begin(), from.end(), 1);
        for (std::size_t i = 0; i < from.size(); ++i) right[i / block] += from[i];
    }
    // Whether the kernel gives the right sums in this order. (Host memory will do: kernels see no
    // difference.)
    bool hold(void (*kernel)(const int*, int*), order kind, std::uint64_t seed) {
        set_schedule(kind, seed);
        run(3, block, kernel, from.data(), to.data());
        return to == right;
    }
};

TEST_F(cuda_scheduler, a_reduction_is_right_in_every_order) {
    sums numbers;
    for (const auto kernel : {tree_sum<true>, warp_sum<true>}) {
        EXPECT_TRUE(numbers.hold(kernel, order::forward, 0));
        EXPECT_TRUE(numbers.hold(kernel, order::reverse, 0));
        for (std::uint64_t seed = 0; seed < 200; ++seed)
            EXPECT_TRUE(numbers.hold(kernel, order::random, seed)) << seed;
    }
}

TEST_F(cuda_scheduler, a_missing_barrier_is_found_in_some_order) {
    sums numbers;
    for (const auto kernel : {tree_sum<false>, warp_sum<false>}) {
        int wrong = 0;
        for (std::uint64_t seed = 0; seed < 200; ++seed)
            wrong += numbers.hold(kernel, order::random, seed) ? 0 : 1;
        EXPECT_GT(wrong, 100);
    }
}

__global__ void note_order(std::vector<unsigned int>* into) {
    into->push_back(blockIdx.x * blockDim.x + threadIdx.x);
}

std::vector<unsigned int> order_of_threads() {
    std::vector<unsigned int> ran;
    run(4, 64, note_order, &ran);
    return ran;
}

TEST_F(cuda_scheduler, orders_are_repeatable_and_differ_between_launches) {
    std::vector<unsigned int> all(256), backwards(256);
    std::iota(all.begin(), all.end(), 0U);
    std::iota(backwards.rbegin(), backwards.rend(), 0U);
    set_schedule(order::forward);
    EXPECT_EQ(order_of_threads(), all);
    set_schedule(order::reverse);
    EXPECT_EQ(order_of_threads(), backwards);
    std::set<std::vector<unsigned int>> seen;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        set_schedule(order::random, seed);
        const auto first = order_of_threads();
        EXPECT_THAT(first, testing::UnorderedElementsAreArray(all));
        seen.insert(first);
        seen.insert(order_of_threads());
        set_schedule(order::random, seed);
        EXPECT_EQ(order_of_threads(), first);
    }
    EXPECT_EQ(seen.size(), 20U);
}

__global__ void indices(dim3 size, int* visits) {
    EXPECT_EQ(blockDim.y, size.y);
    const unsigned int in_block = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    const unsigned int at = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    ++visits[at * blockDim.x * blockDim.y * blockDim.z + in_block];
}

TEST_F(cuda_scheduler, every_thread_of_every_block_runs_once) {
    const dim3 grid(3, 4, 5), threads(7, 3, 2);
    std::vector<int> visits(3 * 4 * 5 * 7 * 3 * 2);
    run(grid, threads, indices, threads, visits.data());
    EXPECT_THAT(visits, testing::Each(1));
}

template <class T> __global__ void shuffles(T* to) {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    const T own = static_cast<T>(threadIdx.x) + T{1000};
    T* out = to + threadIdx.x * 8;
    out[0] = __shfl_sync(0xFFFFFFFF, own, 5);
    out[1] = __shfl_xor_sync(0xFFFFFFFF, own, 9);
    out[2] = __shfl_down_sync(0xFFFFFFFF, own, 3U);
    out[3] = __shfl_up_sync(0xFFFFFFFF, own, 3U);
    out[4] = __shfl_down_sync(0xFFFFFFFF, own, 2U, 8);
    out[5] = __shfl_sync(0xFFFFFFFF, own, 11, 8);
    __syncwarp();
    out[6] = static_cast<T>(__ballot_sync(0xFFFFFFFF, lane % 5 == 0 ? 1 : 0) % 1000);
    const int all = __all_sync(0xFFFFFFFF, lane < 32 ? 1 : 0),
              any = __any_sync(0xFFFFFFFF, lane == 33 ? 1 : 0);
    out[7] = static_cast<T>(all) + T{2} * static_cast<T>(any);
}

template <class T> void check_shuffles() {
    std::vector<T> to(64 * 8);
    run(1, 64, shuffles<T>, to.data());
    unsigned int ballot = 0;
    for (unsigned int lane = 0; lane < 32; lane += 5) ballot |= 1U << lane;
    for (unsigned int thread = 0; thread < 64; ++thread) {
        const unsigned int lane = thread % 32, first = thread - lane + 1000;
        const std::vector<T> got(to.begin() + thread * 8, to.begin() + thread * 8 + 8);
        const unsigned int expected[] = {first + 5,
                                         first + (lane ^ 9U),
                                         first + (lane + 3 < 32 ? lane + 3 : lane),
                                         first + (lane >= 3 ? lane - 3 : lane),
                                         first + (lane % 8 + 2 < 8 ? lane + 2 : lane),
                                         first + lane / 8 * 8 + 3,
                                         ballot % 1000,
                                         1};
        for (std::size_t i = 0; i < 8; ++i)
            EXPECT_EQ(got[i], static_cast<T>(expected[i])) << thread << " " << i;
    }
}

TEST_F(cuda_scheduler, shuffles_and_votes) {
    check_shuffles<float>();
    check_shuffles<double>();
    check_shuffles<int>();
    check_shuffles<unsigned int>();
    check_shuffles<long long>();
    check_shuffles<std::uint64_t>();
}

struct scratch {
    float numbers[8];
    char text[3];
};
struct more_scratch {
    int numbers[5];
};
__global__ void read_and_write_shared(unsigned int* nan) {
    auto& shared = shared_memory<scratch>();
    auto& more = shared_memory<more_scratch>();
    EXPECT_EQ(&shared, &shared_memory<scratch>());
    for (const float number : shared.numbers) atomicAdd(nan, number != number ? 1U : 0U);
    for (const int number : more.numbers) atomicAdd(nan, number == -1 ? 1U : 0U);
    __syncthreads();
    for (float& number : shared.numbers) number = 1;
    for (int& number : more.numbers) number = 2;
    __syncthreads();
    for (const float number : shared.numbers) EXPECT_EQ(number, 1);
}

TEST_F(cuda_scheduler, shared_memory_is_poisoned_before_every_block) {
    unsigned int nan = 0;
    run(3, 32, read_and_write_shared, &nan);
    EXPECT_EQ(nan, 3U * 32 * (8 + 5));
}

__global__ void too_much_shared() {
    struct half {
        char bytes[40 * 1024];
    };
    struct other_half {
        char bytes[20 * 1024];
    };
    shared_memory<half>();
    shared_memory<other_half>();
}
__global__ void beyond_shared(int offset) { *(shared_memory<scratch>().text + 2 + offset) = 1; }

__global__ void barrier_for_some() {
    if (threadIdx.x != 40) __syncthreads();
}
__global__ void lanes_for_some() {
    if (threadIdx.x != 7) __syncwarp();
}
__global__ void lanes_or_barrier() {
    if (threadIdx.x < 7)
        __syncwarp();
    else
        __syncthreads();
}
__global__ void different_collectives() {
    if (threadIdx.x < 7)
        __syncwarp();
    else
        __shfl_sync(0xFFFFFFFF, 1, 0);
}
__global__ void half_a_warp() { __syncwarp(); }
__global__ void partial_mask() { __syncwarp(0xFFFF); }
__global__ void throws_in_one(int* destroyed) { // NOLINT(readability-non-const-parameter): counted up below
    struct count_destroyed {
        int* count;
        ~count_destroyed() { ++*count; }
    } const counted{destroyed};
    __syncthreads();
    if (blockIdx.x == 1 && threadIdx.x == 33) throw std::runtime_error("a bad thread");
    __syncthreads();
}
__global__ void nothing() {}

template <class... Parameters, class... Arguments>
auto running(dim3 grid, dim3 threads, void (*kernel)(Parameters...), Arguments... arguments) {
    return [=] { run(grid, threads, kernel, arguments...); };
}

TEST_F(cuda_scheduler, errors_in_kernels_are_reported) {
    for (const order kind : {order::forward, order::reverse, order::random}) {
        set_schedule(kind, 7);
        EXPECT_THAT(
            running(2, 64, barrier_for_some),
            ThrowsMessage<kernel_error>(HasSubstr("not reached by thread (40, 0, 0), which has ended")));
        EXPECT_THAT(running(2, 64, lanes_for_some),
                    ThrowsMessage<kernel_error>(HasSubstr("__syncwarp, not reached by thread (7, 0, 0)")));
        EXPECT_THAT(running(1, 64, lanes_or_barrier),
                    ThrowsMessage<kernel_error>(HasSubstr("of its warp, which waits")));
        EXPECT_THAT(running(1, 32, different_collectives),
                    ThrowsMessage<kernel_error>(HasSubstr("__shfl_sync")));
        EXPECT_THAT(running(1, 48, half_a_warp),
                    ThrowsMessage<kernel_error>(HasSubstr("less than 32 threads")));
        EXPECT_THAT(running(1, 32, partial_mask),
                    ThrowsMessage<kernel_error>(HasSubstr("less than all lanes")));
        EXPECT_THAT(running(1, 32, too_much_shared), ThrowsMessage<kernel_error>(HasSubstr("48 KB")));
        int destroyed = 0;
        EXPECT_THAT(running(3, 64, throws_in_one, &destroyed),
                    ThrowsMessage<kernel_error>(
                        HasSubstr("block (1, 0, 0), thread (33, 0, 0): exception: a bad thread")));
        EXPECT_EQ(destroyed % 64, 0); // also those of threads that waited
        EXPECT_GT(destroyed, 0);
    }
    EXPECT_TRUE(sums().hold(tree_sum<true>, order::random, 0)); // nothing is left of them
}

TEST_F(cuda_scheduler, launches_that_no_device_takes_are_refused) {
    const std::pair<dim3, dim3> refused[] = {{0, 1},          {{1, 0}, 1},        {1, 0},
                                             {1, 1025},       {1, {32, 33}},      {1, {1, 1, 65}},
                                             {{1, 65536}, 1}, {{1, 1, 65536}, 1}, {0x8000'0000U, 1}};
    for (const auto& [grid, threads] : refused)
        EXPECT_THROW(start(nullptr, grid, threads, nothing), kernel_error);
    EXPECT_EQ(queued(), 0U);
}

TEST_F(cuda_scheduler, device_code_outside_of_a_kernel_is_an_error) {
    EXPECT_THROW(__syncthreads(), std::logic_error);
    EXPECT_THROW(shared_memory<scratch>(), std::logic_error);
}

TEST_F(cuda_scheduler, the_sanitizer_guards_shared_memory) {
    if (!has_address_sanitizer()) GTEST_SKIP() << "built without AddressSanitizer";
    run(1, 32, beyond_shared, 0);
    EXPECT_DEATH(run(1, 32, beyond_shared, 6), "use-after-poison");
}

// Barrier-free threads, and waits, in a second: in the test's report, as the numbers hang on the machine.
__global__ void add_one(int* to) { ++*to; }
__global__ void many_barriers(int times) {
    for (int i = 0; i < times; ++i) __syncthreads();
}
template <class Run> double seconds(const Run& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST_F(cuda_scheduler, speed) {
    int count = 0;
    const double threads = seconds([&] { run(4000, 256, add_one, &count); });
    EXPECT_EQ(count, 4000 * 256);
    const double waits = seconds([&] { run(10, 1024, many_barriers, 100); });
    RecordProperty("threads_per_second", std::to_string(4000 * 256 / threads));
    RecordProperty("switches_per_second", std::to_string(2.0 * 10 * 1024 * 100 / waits));
}

} // namespace
} // namespace cuda_host
