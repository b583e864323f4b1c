// SPDX-License-Identifier: Apache-2.0
// What a tensor is to the operations: element type, logical shape, and a place in a backend's memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace petnet::kernels {

// `f32` is the working precision: statistics, loss, master weights and optimizer state are always f32.
// Activations may also be bf16 or f16 (IEEE binary16).
// (The double-precision reference backend stores f32 tensors as double; storage is a backend's own affair.)
enum class dtype : std::uint8_t { f32, bf16, f16, u8, i32, u64 };

[[nodiscard]] const char* name_of(dtype type) noexcept;
[[nodiscard]] constexpr bool is_floating(dtype type) noexcept {
    return type == dtype::f32 || type == dtype::bf16 || type == dtype::f16;
}

// Logical extents, outermost first: activations (batch, channels, height, width), convolution weights
// (out channels, in channels, rows, columns), features (batch, features), vectors (n).
class shape {
  public:
    static constexpr std::size_t max_rank = 4;

    constexpr shape() = default;
    shape(std::initializer_list<std::int64_t> extents); // std::logic_error if there are more than max_rank

    [[nodiscard]] constexpr std::size_t rank() const noexcept { return rank_; }
    [[nodiscard]] constexpr std::int64_t operator[](std::size_t axis) const noexcept {
        return extents_[axis];
    }
    [[nodiscard]] std::int64_t elements() const noexcept; // 1 for rank 0
    [[nodiscard]] std::string text() const;               // "32x64x56x56"
    bool operator==(const shape&) const = default;

  private:
    std::array<std::int64_t, max_rank> extents_{};
    std::size_t rank_ = 0;
};

// `layout` names how a backend arranges the elements and means nothing outside of it; 0 is row-major in the
// order of the shape's axes. Descriptors with another layout come only from the backend's own functions.
struct tensor_desc {
    dtype type = dtype::f32;
    shape dims;
    std::uint32_t layout = 0;
    bool operator==(const tensor_desc&) const = default;
};

// A tensor in memory that somebody else owns. An empty view (`data == nullptr`) stands for an absent
// optional operand. `slot` is the memory planner's name for a tensor that has no address yet; 0: none.
struct tensor_view {
    tensor_desc desc;
    std::byte* data = nullptr;
    std::uint32_t slot = 0;

    [[nodiscard]] bool present() const noexcept { return data != nullptr || slot != 0; }
};

} // namespace petnet::kernels
