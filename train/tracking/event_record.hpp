// SPDX-License-Identifier: Apache-2.0
// Records of TensorBoard's event files: an Event message (tensorflow/core/util/event.proto) in the protocol
// buffers' wire format, framed as TFRecord. Of the messages' many fields petnet writes a dozen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::tracking {

struct scalar_value {
    std::string tag;
    float value = 0;
};

// `wall_time`: seconds since 1970. Each gives one whole record.
[[nodiscard]] std::string file_version_record(double wall_time); // has to be a file's first
// From here on the run is at `step`: viewers forget what an earlier file says of it and of later steps.
[[nodiscard]] std::string session_start_record(double wall_time, std::int64_t step);
[[nodiscard]] std::string scalars_record(double wall_time, std::int64_t step,
                                         const std::vector<scalar_value>& values);
[[nodiscard]] std::string text_record(double wall_time, std::int64_t step, std::string_view tag,
                                      std::string_view markdown);

// length (8 bytes, little-endian), its masked CRC-32C, the data, its masked CRC-32C
// (tensorflow/core/lib/io/record_writer.cc).
[[nodiscard]] std::string framed(std::string_view data);

// Castagnoli's polynomial, as iSCSI (RFC 3720, B.4) has it.
[[nodiscard]] std::uint32_t crc32c(std::string_view data);

} // namespace petnet::tracking
