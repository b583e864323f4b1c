// SPDX-License-Identifier: Apache-2.0
// Reads little-endian numbers and runs of bytes from a span that is never overrun.
#pragma once

#include "model/weights/refusal.hpp"

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace petnet::model {

static_assert(std::endian::native == std::endian::little, "weight files are little-endian, and so is petnet");

class byte_cursor {
  public:
    // `file` names the file and `part` what is read, in the message for bytes that are missing; both outlive
    // this.
    byte_cursor(std::span<const std::byte> bytes, std::string_view file, std::string_view part)
        : bytes_(bytes), file_(file), part_(part) {}

    [[nodiscard]] std::size_t position() const noexcept { return position_; }
    [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size() - position_; }

    // The next `count` bytes; throws input_error where fewer are left.
    [[nodiscard]] std::span<const std::byte> take(std::uint64_t count) {
        if (count > remaining())
            refuse(file_, std::string(part_) + " ends too early; the file is damaged or cut short");
        const auto result = bytes_.subspan(position_, static_cast<std::size_t>(count));
        position_ += result.size();
        return result;
    }
    void skip(std::uint64_t count) { (void)take(count); }

    template <typename number> [[nodiscard]] number read() {
        number result;
        std::memcpy(&result, take(sizeof result).data(), sizeof result);
        return result;
    }

    // Bytes as text, without a copy.
    [[nodiscard]] std::string_view text(std::uint64_t count) { return as_text(take(count)); }
    // Up to and without the next '\n', which is passed over.
    [[nodiscard]] std::string_view line() {
        const std::size_t length = as_text(bytes_.subspan(position_)).find('\n');
        const std::string_view result = text(length);
        skip(1);
        return result;
    }

    [[nodiscard]] static std::string_view as_text(std::span<const std::byte> bytes) {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

  private:
    std::span<const std::byte> bytes_;
    std::string_view file_;
    std::string_view part_;
    std::size_t position_ = 0;
};

} // namespace petnet::model
