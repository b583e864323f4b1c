// SPDX-License-Identifier: Apache-2.0
#include "train/tracking/event_record.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace petnet::tracking {
namespace {

static_assert(std::endian::native == std::endian::little, "records are written as they lie in memory");

template <typename Value> void append_bytes(std::string& to, Value value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    to.append(bytes, sizeof value);
}

// A message of the protocol buffers' wire format, field by field.
class message {
  public:
    message& varint(unsigned field, std::uint64_t value) {
        key(field, 0);
        append_varint(value);
        return *this;
    }
    message& number(unsigned field, double value) {
        key(field, 1);
        append_bytes(bytes_, value);
        return *this;
    }
    message& number(unsigned field, float value) {
        key(field, 5);
        append_bytes(bytes_, value);
        return *this;
    }
    message& text(unsigned field, std::string_view value) {
        key(field, 2);
        append_varint(value.size());
        bytes_ += value;
        return *this;
    }
    message& nested(unsigned field, const message& value) { return text(field, value.bytes_); }
    [[nodiscard]] const std::string& bytes() const { return bytes_; }

  private:
    void key(unsigned field, unsigned wire_type) { append_varint(field << 3U | wire_type); }
    void append_varint(std::uint64_t value) {
        constexpr std::uint64_t more = 0x80;
        for (; value >= more; value >>= 7U) bytes_ += static_cast<char>((value & 0x7fU) | more);
        bytes_ += static_cast<char>(value);
    }

    std::string bytes_;
};

// Event: wall_time 1, step 2, file_version 3, summary 5, session_log 7.
message event(double wall_time, std::int64_t step) {
    message result;
    result.number(1, wall_time).varint(2, static_cast<std::uint64_t>(step));
    return result;
}

constexpr std::array<std::uint32_t, 256> make_crc_table() {
    constexpr std::uint32_t polynomial = 0x82f63b78; // reflected
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) value = (value & 1U) != 0 ? value >> 1U ^ polynomial : value >> 1U;
        table[i] = value;
    }
    return table;
}

std::uint32_t masked(std::uint32_t crc) {
    constexpr std::uint32_t delta = 0xa282ead8;
    return (crc >> 15U | crc << 17U) + delta;
}

} // namespace

std::uint32_t crc32c(std::string_view data) {
    static constexpr std::array<std::uint32_t, 256> table = make_crc_table();
    std::uint32_t crc = 0xffffffff;
    for (const char c : data) crc = crc >> 8U ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xffU];
    return ~crc;
}

std::string framed(std::string_view data) {
    std::string record;
    append_bytes(record, static_cast<std::uint64_t>(data.size()));
    append_bytes(record, masked(crc32c(record)));
    record += data;
    append_bytes(record, masked(crc32c(data)));
    return record;
}

std::string file_version_record(double wall_time) {
    return framed(message().number(1, wall_time).text(3, "brain.Event:2").bytes());
}

std::string session_start_record(double wall_time, std::int64_t step) {
    constexpr std::uint64_t start = 1; // SessionLog.SessionStatus
    return framed(event(wall_time, step).nested(7, message().varint(1, start)).bytes());
}

std::string scalars_record(double wall_time, std::int64_t step, const std::vector<scalar_value>& values) {
    message summary; // Summary: repeated Value 1 { tag 1, simple_value 2 }
    for (const scalar_value& each : values)
        summary.nested(1, message().text(1, each.tag).number(2, each.value));
    return framed(event(wall_time, step).nested(5, summary).bytes());
}

std::string text_record(double wall_time, std::int64_t step, std::string_view tag,
                        std::string_view markdown) {
    constexpr std::uint64_t type_string = 7; // DataType.DT_STRING
    // TensorProto: dtype 1, tensor_shape 2 { dim 2 { size 1 } }, string_val 8
    const message tensor = message()
                               .varint(1, type_string)
                               .nested(2, message().nested(2, message().varint(1, 1)))
                               .text(8, markdown);
    // Value: tag 1, tensor 8, metadata 9 { plugin_data 1 { plugin_name 1 } }
    const message value =
        message().text(1, tag).nested(8, tensor).nested(9, message().nested(1, message().text(1, "text")));
    return framed(event(wall_time, step).nested(5, message().nested(1, value)).bytes());
}

} // namespace petnet::tracking
