// SPDX-License-Identifier: Apache-2.0
// Tables in device memory for operations over many tensors in one launch. (Kernel parameters are limited to
// 4 KB: a hundred tensors do not fit.)
#pragma once

#include "kernels/cuda/error.hpp"
#include "kernels/cuda/resources.hpp"

#include <cstdint>
#include <cuda_runtime.h>
#include <stdexcept>
#include <vector>

namespace petnet::kernels::cuda {

// A fixed array in device memory, filled when it is made. environment_error where there is no memory for it.
template <class T> class device_array {
  public:
    device_array(cudaStream_t on, const std::vector<T>& values)
        : data_(make_device_buffer(values.size() * sizeof(T))) {
        constexpr const char* doing = "copying a table of tensors to the GPU";
        // On the stream that will read it, as others are not ordered with that one; and waiting, as `values`
        // may be gone on return.
        check(cudaMemcpyAsync(data_.get(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice,
                              on),
              doing);
        check(cudaStreamSynchronize(on), doing);
    }
    [[nodiscard]] const T* data() const noexcept { return reinterpret_cast<const T*>(data_.get()); }

  private:
    device_buffer data_;
};

// One block's share of the work: elements [first, min(first + chunk_elements, count)) of a tensor.
inline constexpr int chunk_elements = 8192;
struct chunk {
    std::int64_t first;
    std::int32_t tensor;
};

// `Entry` describes one tensor to a kernel; it has a member `count`, the number of elements. std::logic_error
// where there are none at all.
template <class Entry> class tensor_table {
  public:
    tensor_table(cudaStream_t on, const std::vector<Entry>& entries)
        : tensor_table(on, entries, cut(entries)) {}

    [[nodiscard]] const Entry* entries() const noexcept { return entries_.data(); }
    [[nodiscard]] const chunk* chunks() const noexcept { return chunks_.data(); }
    [[nodiscard]] unsigned chunk_count() const noexcept { return chunk_count_; }

  private:
    tensor_table(cudaStream_t on, const std::vector<Entry>& entries, const std::vector<chunk>& chunks)
        : entries_(on, entries), chunks_(on, chunks), chunk_count_(static_cast<unsigned>(chunks.size())) {}

    static std::vector<chunk> cut(const std::vector<Entry>& entries) {
        std::vector<chunk> chunks;
        for (std::size_t tensor = 0; tensor < entries.size(); ++tensor)
            for (std::int64_t first = 0; first < entries[tensor].count; first += chunk_elements)
                chunks.push_back({first, static_cast<std::int32_t>(tensor)});
        if (chunks.empty()) throw std::logic_error("an operation over many tensors has none");
        return chunks;
    }

    device_array<Entry> entries_;
    device_array<chunk> chunks_;
    unsigned chunk_count_;
};

} // namespace petnet::kernels::cuda
