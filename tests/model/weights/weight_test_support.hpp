// SPDX-License-Identifier: Apache-2.0
// Byte strings in the shape of weight files, and what is read from them.
#pragma once

#include "base/errors.hpp"
#include "model/weights/weight_file.hpp"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace petnet::model::testing {

inline std::filesystem::path golden_checkpoints() {
    const char* folder = std::getenv("PETNET_GOLDEN_DIR");
    return std::filesystem::path(folder != nullptr ? folder : PETNET_DEFAULT_GOLDEN_DIR) / "checkpoints";
}

inline std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// A number's little-endian bytes.
template <typename number> std::string le(number value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

inline std::string floats(std::initializer_list<float> values) {
    std::string bytes;
    for (float value : values) bytes += le(value);
    return bytes;
}

// Reads a copy of the bytes that lives as long as the tensors.
inline weight_file read(std::string_view bytes) {
    const auto copy = std::make_shared<const std::string>(bytes);
    return read_weight_bytes(as_bytes(*copy), "weights", copy);
}

// The message of the refusal, or "" where the file is read.
inline std::string refusal(std::string_view bytes) {
    try {
        (void)read(bytes);
    } catch (const input_error& error) {
        return error.what();
    }
    return "";
}

inline std::string safetensors(std::string_view header, std::string_view data = "") {
    return le<std::uint64_t>(header.size()) + std::string(header) + std::string(data);
}

// A folder of this test's own, removed with it.
class temporary_folder {
  public:
    temporary_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "petnet_weights_XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
        path_ = name;
    }
    ~temporary_folder() { std::filesystem::remove_all(path_); }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;
    std::filesystem::path operator/(const char* name) const { return path_ / name; }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

} // namespace petnet::model::testing
