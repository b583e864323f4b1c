// SPDX-License-Identifier: Apache-2.0
// Device and pinned memory: where it lies, copies into it and out of it.
#include "tests/cuda_host/runtime.hpp"
#include "tests/cuda_host/sanitizer.hpp"

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <vector>

namespace cuda_host {
namespace {

enum class place : std::uint8_t { pageable, pinned, device, out_of_range };
constexpr std::align_val_t memory_alignment{256}; // CUDA's

struct allocation {
    std::size_t bytes;
    place where;
};
struct memory_state {
    std::map<std::uintptr_t, allocation> allocations; // by address
    std::size_t device_bytes = 0;
    int accesses = 0;
};
// Never destroyed: objects of static duration may free memory late.
memory_state& state() {
    static auto& instance = *new memory_state;
    return instance;
}

// Of the whole range.
place place_of(const void* address, std::size_t bytes) {
    const auto& all = state().allocations;
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    auto after = all.upper_bound(at);
    if (after != all.begin()) {
        const auto& [begin, found] = *std::prev(after);
        if (at < begin + found.bytes)
            return bytes <= begin + found.bytes - at ? found.where : place::out_of_range;
    }
    // Host memory that runs into an allocation is none of it.
    return after != all.end() && after->first - at < bytes ? place::out_of_range : place::pageable;
}

cudaError_t allocate(void** pointer, std::size_t bytes, place where) {
    if (const cudaError_t error = refuse_while_capturing(); error != cudaSuccess) return error;
    if (pointer == nullptr) return cudaErrorInvalidValue;
    *pointer = nullptr;
    if (bytes == 0) return cudaSuccess;
    memory_state& memory = state();
    const bool on_device = where == place::device;
    if (on_device && bytes > device_memory_size() - std::min(device_memory_size(), memory.device_bytes))
        return cudaErrorMemoryAllocation;
    void* address = ::operator new(bytes, memory_alignment, std::nothrow);
    if (address == nullptr) return cudaErrorMemoryAllocation;
    std::memset(address, 0xFF, bytes); // NaN in every float type
    memory.allocations[reinterpret_cast<std::uintptr_t>(address)] = {bytes, where};
    if (on_device) {
        memory.device_bytes += bytes;
        if (memory.accesses == 0) close_memory(address, bytes);
    }
    *pointer = address;
    return cudaSuccess;
}
cudaError_t release(void* pointer, place where) {
    if (const cudaError_t error = refuse_while_capturing(); error != cudaSuccess) return error;
    if (pointer == nullptr) return cudaSuccess;
    memory_state& memory = state();
    const auto found = memory.allocations.find(reinterpret_cast<std::uintptr_t>(pointer));
    if (found == memory.allocations.end() || found->second.where != where) return cudaErrorInvalidValue;
    // Both kinds wait for the device; the memory is free even where that fails.
    const auto free_it = [&](void*) {
        if (where == place::device) memory.device_bytes -= found->second.bytes;
        open_memory(pointer, found->second.bytes);
        memory.allocations.erase(found);
        ::operator delete(pointer, memory_alignment);
    };
    const std::unique_ptr<void, decltype(free_it)> on_leaving(pointer, free_it);
    finish_all_streams();
    return cudaSuccess;
}

// cudaSuccess where the addresses are what the kind of copy says.
cudaError_t check_copy(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    const place target = place_of(to, bytes), source = place_of(from, bytes);
    if (target == place::out_of_range || source == place::out_of_range) return cudaErrorInvalidValue;
    const auto on_device = [](place where) { return where == place::device; };
    const int found = (on_device(target) ? 1 : 0) + (on_device(source) ? 2 : 0); // numbered as cudaMemcpyKind
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
    return kind == cudaMemcpyDefault || kind == found ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t set(void* to, int value, std::size_t bytes, cudaStream_t stream) {
    if (bytes == 0) return cudaSuccess;
    if (place_of(to, bytes) != place::device) return cudaErrorInvalidValue;
    return queue_work(stream, [=] { std::memset(to, value, bytes); });
}

template <class Visit> void for_device_memory(const Visit& visit) {
    if (!has_address_sanitizer()) return;
    for (const auto& [address, found] : state().allocations)
        if (found.where == place::device) {
            // The addresses are keys of a map that is ordered by them.
            const auto* start = reinterpret_cast<const void*>(address); // NOLINT(performance-no-int-to-ptr)
            visit(start, found.bytes);
        }
}
} // namespace

device_access::device_access() {
    if (state().accesses++ == 0) for_device_memory(open_memory);
}
device_access::~device_access() {
    if (--state().accesses == 0) for_device_memory(close_memory);
}

void count_memory(usage& into) {
    for (const auto& [address, found] : state().allocations)
        ++(found.where == place::device ? into.device_allocations : into.pinned_allocations);
    into.device_bytes = state().device_bytes;
}
} // namespace cuda_host

using cuda_host::api, cuda_host::api_without_exceptions, cuda_host::place;

cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
    return api(__func__, [&] {
        *total = cuda_host::device_memory_size();
        *available = *total - std::min(*total, cuda_host::state().device_bytes);
        return cudaSuccess;
    });
}
cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
    return api(__func__, [&] { return cuda_host::allocate(pointer, bytes, place::device); });
}
cudaError_t cudaFree(void* pointer) {
    return api_without_exceptions(__func__, [&] { return cuda_host::release(pointer, place::device); });
}
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
    return api(__func__, [&] { return cuda_host::allocate(pointer, bytes, place::pinned); });
}
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned int) {
    return api(__func__, [&] { return cuda_host::allocate(pointer, bytes, place::pinned); });
}
cudaError_t cudaFreeHost(void* pointer) {
    return api_without_exceptions(__func__, [&] { return cuda_host::release(pointer, place::pinned); });
}

// On the default stream: streams made with cudaStreamNonBlocking are not waited for.
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return api(__func__, [&] {
        if (const cudaError_t error = cuda_host::refuse_while_capturing(); error != cudaSuccess) return error;
        if (bytes == 0) return cudaSuccess;
        const cudaError_t error = cuda_host::check_copy(to, from, bytes, kind);
        if (error != cudaSuccess) return error;
        cuda_host::finish_default_stream();
        const cuda_host::device_access open;
        std::memcpy(to, from, bytes);
        return cudaSuccess;
    });
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return api(__func__, [&] {
        if (bytes == 0) return cudaSuccess;
        const cudaError_t error = cuda_host::check_copy(to, from, bytes, kind);
        if (error != cudaSuccess) return error;
        if (cuda_host::place_of(from, bytes) == place::pageable ||
            cuda_host::place_of(to, bytes) == place::pageable)
            cuda_host::count_call(cuda_host::pageable_copy);
        // Pageable memory is read at the call (by a graph: at each launch), pinned memory when the copy runs.
        if (cuda_host::place_of(from, bytes) == place::pageable && !cuda_host::is_capturing(stream)) {
            const auto* first = static_cast<const std::byte*>(from);
            return cuda_host::queue_work(stream, [to, staged = std::vector<std::byte>(first, first + bytes)] {
                std::memcpy(to, staged.data(), staged.size());
            });
        }
        return cuda_host::queue_work(stream, [=] { std::memcpy(to, from, bytes); });
    });
}
cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
    return api(__func__, [&] {
        if (const cudaError_t error = cuda_host::refuse_while_capturing(); error != cudaSuccess) return error;
        return cuda_host::set(to, value, bytes, nullptr);
    });
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
    return api(__func__, [&] { return cuda_host::set(to, value, bytes, stream); });
}
