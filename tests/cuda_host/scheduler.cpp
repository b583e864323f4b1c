// SPDX-License-Identifier: Apache-2.0
// Blocks run one after the other. The threads of a block share a pool of workers: a worker runs one thread
// after the other until one of them waits, which keeps that worker's stack until it can go on. So a kernel
// without barriers costs a function call a thread.
#include "tests/cuda_host/scheduler.hpp"

#include "tests/cuda_host/worker.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <vector>

namespace cuda_host {
namespace {

constexpr unsigned int max_threads = 1024;
constexpr std::size_t max_shared_bytes = 48 * 1024;

// Unwinds a thread that waits when its block has failed.
struct cancelled {};

std::string text(const uint3& index) {
    return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) +
           ")";
}
std::string text(const dim3& size) { return text(uint3{size.x, size.y, size.z}); }
const char* text(stop where) {
    constexpr std::array<const char*, 9> names{"is ready to run",
                                               "has ended",
                                               "waits at __syncthreads",
                                               "waits at __syncwarp",
                                               "waits at __shfl_sync",
                                               "waits at __shfl_up_sync",
                                               "waits at __shfl_down_sync",
                                               "waits at __shfl_xor_sync",
                                               "waits at a vote"};
    return names[static_cast<std::size_t>(where)];
}

class scheduler {
  public:
    void run(const launch_work& work, const schedule& how);

    // From device code.
    void wait(stop at) {
        if (!running_) throw std::logic_error("a barrier or warp collective outside of a kernel");
        stops_[current_] = at;
        on_[current_] = running_;
        running_->suspend();
        if (cancelling_) throw cancelled{};
    }
    const std::uint64_t* exchange(stop collective, unsigned int mask, std::uint64_t value) {
        if (mask != full_mask) throw std::logic_error("a warp collective of less than all lanes");
        // Two rows in turn: a lane that runs ahead to the next collective leaves the values of this one
        // alone.
        auto& row = values_[current_ / warp_lanes][turn_[current_]];
        turn_[current_] ^= 1U;
        row[current_ % warp_lanes] = value;
        wait(collective);
        return row.data();
    }
    [[nodiscard]] unsigned int current() const noexcept { return current_; }
    std::byte* shared_bytes(const void* key, std::size_t bytes, std::size_t alignment);

  private:
    void run_block();
    bool step(unsigned int warp);
    bool release(unsigned int warp);
    void start_threads(worker& self);
    void resume(worker& which) {
        running_ = &which;
        which.resume();
        running_ = nullptr;
    }
    void select(unsigned int thread) {
        current_ = thread;
        threadIdx = indices_[thread];
    }
    [[noreturn]] void fail(unsigned int thread, const std::string& what);
    void check_failure();
    void draw_lanes();
    [[nodiscard]] unsigned int lane(unsigned int i) const {
        return ((i * lane_stride_ + lane_offset_) % warp_lanes) ^ lane_flip_;
    }

    const launch_work* work_ = nullptr;
    schedule how_;
    generator random_{0};
    unsigned int count_ = 0; // threads of a block
    std::array<uint3, max_threads> indices_{};

    // The block that runs.
    std::array<stop, max_threads> stops_{};
    std::array<worker*, max_threads> on_{};
    std::array<std::uint8_t, max_threads> turn_{};
    std::array<bool, max_threads / warp_lanes> started_{};
    std::array<std::array<std::array<std::uint64_t, warp_lanes>, 2>, max_threads / warp_lanes> values_{};
    unsigned int lane_stride_ = 1, lane_offset_ = 0, lane_flip_ = 0;
    unsigned int starting_warp_ = 0, next_start_ = warp_lanes;
    unsigned int current_ = 0;
    worker* running_ = nullptr;
    bool cancelling_ = false;
    std::string failure_; // what a thread threw

    struct shared_object {
        const void* key;
        std::byte* data;
    };
    std::vector<shared_object> shared_;
    std::size_t shared_used_ = 0;

    std::vector<std::unique_ptr<worker>> workers_;
    std::vector<worker*> idle_;
    alignas(128) std::array<std::byte, max_shared_bytes> shared_memory_{};
};

// Never destroyed: its workers sit in an endless loop.
scheduler& the_scheduler() {
    static auto& instance = *new scheduler;
    return instance;
}

void scheduler::run(const launch_work& work, const schedule& how) {
    if (running_) throw std::logic_error("a launch from within a kernel");
    work_ = &work;
    how_ = how;
    random_ = generator(how.seed * 0x2545'F491'4F6C'DD1DULL + how.launches);
    blockDim = work.block;
    gridDim = work.grid;
    count_ = 0;
    for (unsigned int z = 0; z < work.block.z; ++z)
        for (unsigned int y = 0; y < work.block.y; ++y)
            for (unsigned int x = 0; x < work.block.x; ++x) indices_[count_++] = {x, y, z};

    const std::uint64_t blocks = std::uint64_t{work.grid.x} * work.grid.y * work.grid.z;
    const permutation blocks_in_order(how.kind, blocks, random_);
    for (std::uint64_t i = 0; i < blocks; ++i) {
        const std::uint64_t block = blocks_in_order[i], row = block / work.grid.x;
        blockIdx = {static_cast<unsigned int>(block % work.grid.x),
                    static_cast<unsigned int>(row % work.grid.y),
                    static_cast<unsigned int>(row / work.grid.y)};
        run_block();
    }
}

void scheduler::run_block() {
    const unsigned int warps = (count_ + warp_lanes - 1) / warp_lanes;
    shared_.clear();
    shared_used_ = 0;
    started_.fill(false);
    std::fill_n(turn_.begin(), count_, std::uint8_t{0});
    std::array<unsigned int, max_threads / warp_lanes> order_of_warps{};
    while (true) {
        // A warp runs as far ahead of the others as the next barrier of the block; in half of the random
        // intervals it gives way to another one now and then.
        for (unsigned int i = 0; i < warps; ++i)
            order_of_warps[i] = how_.kind == order::reverse ? i : warps - 1 - i;
        if (how_.kind == order::random)
            for (unsigned int i = warps; i > 1; --i)
                std::swap(order_of_warps[i - 1], order_of_warps[random_.below(i)]);
        const bool takes_turns = how_.kind == order::random && random_.below(2) == 0;
        for (unsigned int left = warps; left > 0;) {
            if (!step(order_of_warps[left - 1]))
                --left;
            else if (takes_turns && random_.below(4) == 0)
                std::swap(order_of_warps[left - 1], order_of_warps[random_.below(left)]);
        }
        // Every thread has ended or waits at the barrier of the block: all must do the same.
        const auto end = stops_.begin() + count_;
        const auto waiting = std::find(stops_.begin(), end, stop::syncthreads);
        if (waiting == end) return;
        const auto ended = std::find(stops_.begin(), end, stop::ended);
        if (ended != end) {
            const auto missing = static_cast<unsigned int>(ended - stops_.begin());
            fail(static_cast<unsigned int>(waiting - stops_.begin()),
                 "deadlock: waits at __syncthreads, a barrier not reached by thread " +
                     text(indices_[missing]) + ", which has ended");
        }
        std::fill(stops_.begin(), end, stop::ready);
    }
}

// Lets every lane of the warp that can run do so once. Whether the warp can go on before the block's next
// barrier.
bool scheduler::step(unsigned int warp) {
    draw_lanes();
    const unsigned int first = warp * warp_lanes;
    if (!started_[warp]) {
        started_[warp] = true;
        starting_warp_ = warp;
        next_start_ = 0;
        while (next_start_ < warp_lanes) {
            if (idle_.empty()) {
                workers_.push_back(std::make_unique<worker>([this](worker& self) { start_threads(self); }));
                idle_.push_back(workers_.back().get());
            }
            worker& next = *idle_.back();
            idle_.pop_back();
            resume(next);
            check_failure();
        }
    } else {
        for (unsigned int i = 0; i < warp_lanes; ++i) {
            const unsigned int thread = first + lane(i);
            if (thread >= count_ || stops_[thread] != stop::ready) continue;
            select(thread);
            resume(*on_[thread]);
            check_failure();
        }
    }
    return release(warp);
}

bool scheduler::release(unsigned int warp) {
    const unsigned int first = warp * warp_lanes, end = std::min(first + warp_lanes, count_);
    const auto in_collective = [this](unsigned int thread) { return stops_[thread] > stop::syncthreads; };
    for (unsigned int thread = first; thread < end; ++thread) {
        if (!in_collective(thread)) continue;
        for (unsigned int other = first; other < end; ++other)
            if (stops_[other] != stops_[thread])
                fail(thread, std::string("deadlock: ") + text(stops_[thread]) + ", not reached by thread " +
                                 text(indices_[other]) + " of its warp, which " + text(stops_[other]));
        if (end - first != warp_lanes)
            fail(thread, std::string(text(stops_[thread])) + " in a warp of less than 32 threads");
        std::fill(stops_.begin() + first, stops_.begin() + end, stop::ready);
        return true;
    }
    return false;
}

// On a worker: runs threads of the starting warp until one waits (and comes back here to end it, later).
void scheduler::start_threads(worker& self) {
    while (next_start_ < warp_lanes) {
        const unsigned int thread = starting_warp_ * warp_lanes + lane(next_start_++);
        if (thread >= count_) continue;
        select(thread);
        try {
            work_->thread();
        } catch (const cancelled&) {
            // only unwinds
        } catch (const std::exception& error) {
            failure_ = std::string("exception: ") + error.what();
        } catch (...) {
            failure_ = "exception of an unknown type";
        }
        stops_[current_] = stop::ended;
        if (!failure_.empty()) break;
    }
    idle_.push_back(&self);
}

void scheduler::check_failure() {
    if (!failure_.empty()) fail(current_, std::exchange(failure_, {}));
}

void scheduler::fail(unsigned int thread, const std::string& what) {
    const uint3 block = blockIdx;
    // Every thread that has begun and not ended is unwound, so that its worker is free again.
    cancelling_ = true;
    const unsigned int not_started = next_start_;
    next_start_ = warp_lanes;
    std::array<bool, max_threads> begun{};
    for (unsigned int warp = 0; warp * warp_lanes < count_; ++warp)
        for (unsigned int i = 0; i < warp_lanes; ++i) {
            const unsigned int other = warp * warp_lanes + lane(i);
            const bool pending = warp == starting_warp_ && i >= not_started;
            if (other < count_) begun[other] = started_[warp] && !pending;
        }
    for (unsigned int other = 0; other < count_; ++other) {
        if (!begun[other] || stops_[other] == stop::ended) continue;
        select(other);
        resume(*on_[other]);
    }
    cancelling_ = false;
    failure_.clear();
    throw kernel_error("kernel " + work_->kernel + " <<<" + text(work_->grid) + ", " + text(work_->block) +
                       ">>>, block " + text(block) + ", thread " + text(indices_[thread]) + ": " + what +
                       " [schedule " + cuda_host::text(how_) + "]");
}

void scheduler::draw_lanes() {
    if (how_.kind == order::random) {
        const auto bits = static_cast<unsigned int>(random_());
        lane_stride_ = bits % warp_lanes | 1U;
        lane_offset_ = bits / warp_lanes % warp_lanes;
        lane_flip_ = bits / (warp_lanes * warp_lanes) % warp_lanes;
    } else {
        lane_stride_ = 1;
        lane_offset_ = 0;
        lane_flip_ = how_.kind == order::reverse ? warp_lanes - 1 : 0;
    }
}

std::byte* scheduler::shared_bytes(const void* key, std::size_t bytes, std::size_t alignment) {
    if (!running_) throw std::logic_error("shared memory outside of a kernel");
    for (const shared_object& object : shared_)
        if (object.key == key) return object.data;
    alignment = std::max<std::size_t>(alignment, 16);
    const std::size_t offset = (shared_used_ + alignment - 1) / alignment * alignment;
    if (alignment > 128 || offset + bytes > max_shared_bytes)
        throw std::length_error("more than 48 KB of shared memory, or aligned to more than 128 bytes");
    std::byte* data = shared_memory_.data() + offset;
    // Closed around the objects, so that an access beyond one is found; their content is NaN in every float
    // type.
    if (shared_.empty()) close_memory(shared_memory_.data(), max_shared_bytes);
    open_memory(data, bytes);
    std::fill_n(data, bytes, std::byte{0xFF});
    shared_used_ = offset + bytes + 1; // something lies between two objects
    shared_.push_back({key, data});
    return data;
}

} // namespace

void check_launch(const cudaLaunchConfig_t& config, const std::string& kernel) {
    const dim3 grid = config.gridDim, block = config.blockDim;
    const auto refuse = [&](const std::string& why) {
        throw kernel_error("kernel " + kernel + " <<<" + text(grid) + ", " + text(block) + ">>>: " + why);
    };
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) refuse("an empty grid");
    if (block.x == 0 || block.y == 0 || block.z == 0) refuse("an empty block");
    if (grid.x > 0x7FFF'FFFFU) refuse("a grid of more than 2^31 - 1 blocks in x");
    if (grid.y > 65535 || grid.z > 65535) refuse("a grid of more than 65535 blocks in y or z");
    if (block.x > max_threads || block.y > max_threads || block.z > 64 ||
        std::uint64_t{block.x} * block.y * block.z > max_threads)
        refuse("a block of more than 1024 threads, or 64 in z");
    if (config.dynamicSmemBytes != 0 || config.numAttrs != 0)
        refuse("dynamic shared memory and launch attributes are not emulated");
}
void run_launch(const launch_work& work, const schedule& how) { the_scheduler().run(work, how); }

void wait_for_block() { the_scheduler().wait(stop::syncthreads); }
const std::uint64_t* exchange(stop collective, unsigned int mask, std::uint64_t value) {
    return the_scheduler().exchange(collective, mask, value);
}
unsigned int lane() noexcept { return the_scheduler().current() % warp_lanes; }
std::byte* shared_bytes(const void* key, std::size_t bytes, std::size_t alignment) {
    return the_scheduler().shared_bytes(key, bytes, alignment);
}

} // namespace cuda_host
