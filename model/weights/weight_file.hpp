// SPDX-License-Identifier: Apache-2.0
// Weight files as lists of named tensors: safetensors, and what `torch.save` writes (the zip format and the
// one before PyTorch 1.6), each of them plain or compressed as a whole with zstd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::model {

enum class weight_dtype : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

// Bytes per element: 8, 4, 2 or 1.
[[nodiscard]] std::size_t element_size(weight_dtype dtype) noexcept;

// Lower-case, as PyTorch spells it: "float32", "bfloat16", "int64", "bool", ...
[[nodiscard]] std::string_view to_string(weight_dtype dtype) noexcept;

// One tensor of a weight file. Copies are cheap: they share the bytes.
struct weight_tensor {
    std::string name;
    weight_dtype dtype = weight_dtype::f32;
    std::vector<std::int64_t> shape;     // empty for a scalar; a dimension may be 0
    std::span<const std::byte> bytes;    // row-major, contiguous, little-endian; of any alignment
    std::shared_ptr<const void> storage; // keeps `bytes` alive; null where the caller does

    // The product of `shape`.
    [[nodiscard]] std::size_t element_count() const noexcept { return bytes.size() / element_size(dtype); }

    // The values in row-major order; float64 and integers are rounded to the nearest float32, bool is 0 or 1.
    // `out` holds element_count() values; another size throws std::invalid_argument.
    void to_float32(std::span<float> out) const;
    [[nodiscard]] std::vector<float> to_float32() const;
    // As above; exact but for integers beyond 2^53.
    [[nodiscard]] std::vector<double> to_float64() const;
};

// A tensor that views `values` (row-major, as many as the product of `shape`, else std::invalid_argument);
// the caller keeps them alive.
[[nodiscard]] weight_tensor float32_tensor(std::string name, std::vector<std::int64_t> shape,
                                           std::span<const float> values);

struct weight_file {
    std::vector<weight_tensor> tensors; // in the file's order; every name is there once
    std::map<std::string, std::string> metadata;
    // Where a torch file holds several whole sets of weights under different keys: their places, as
    // "checkpoint.model" (empty: without a key), the one that was read first. Else empty.
    std::vector<std::string> sets{};

    // The tensor of that name, or null.
    [[nodiscard]] const weight_tensor* find(std::string_view name) const noexcept;
};

// Reads a weight file; what it is is found from its content, not from its name. A torch file holds a state
// dict, bare or under any key, at most two deep (what fastai's learn.save and training scripts write;
// optimizer state is ignored). `key` names one of several sets of weights: a key in a torch file, or what the
// names of its tensors begin with before a dot, in any file ("model", "checkpoint.ema", "student"). Absent,
// one is chosen (weight_sets.hpp). Nothing in the file is executed, and memory stays in proportion to the
// file. Uncompressed tensors are views of the mapped file: it stays mapped as long as one of them lives, and
// must not be changed in place (replacing it by renaming is fine). Throws input_error, naming the file, what
// was expected and what was found.
[[nodiscard]] weight_file read_weight_file(const std::filesystem::path& path, std::string_view key = {});

// The same from memory; `display_name` stands for the file in messages. The tensors view `bytes`: `owner`
// keeps them alive, or, where it is null, the caller does.
[[nodiscard]] weight_file read_weight_bytes(std::span<const std::byte> bytes, std::string_view display_name,
                                            std::shared_ptr<const void> owner = nullptr,
                                            std::string_view key = {});

struct weight_place {
    std::filesystem::path file;
    std::string key; // empty: none is named
};
// FILE or FILE:KEY. A file of the whole name wins.
[[nodiscard]] weight_place place_of_weights(const std::string& text);

// Writes a safetensors file (atomically, see write_file_atomically). Equal content gives equal bytes whatever
// the order of `tensors`: they are laid out by falling element size, then by name, so each is aligned to its
// element; the header is padded to a multiple of 8 bytes.
// Throws std::invalid_argument where a name is repeated, reserved (`__metadata__`) or no UTF-8, or where
// bytes and shape disagree; environment_error where writing fails.
void write_safetensors(const std::filesystem::path& path, std::span<const weight_tensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

} // namespace petnet::model
