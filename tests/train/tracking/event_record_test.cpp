// SPDX-License-Identifier: Apache-2.0
// TensorBoard's records; its own reader reads them in peers_test.py.
#include "train/tracking/event_record.hpp"

#include <cstring>
#include <gtest/gtest.h>

using namespace petnet::tracking;

// RFC 3720, B.4.
TEST(event_record, crc32c_of_the_standard) {
    EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
    EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
    EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
}

// Written by tensorboard 2.21's RecordWriter.
TEST(event_record, frames_as_tensorboard) {
    const std::string record = framed("petnet");
    ASSERT_EQ(record.size(), 8U + 4 + 6 + 4);
    std::uint64_t length = 0;
    std::memcpy(&length, record.data(), sizeof length);
    EXPECT_EQ(length, 6U);
    EXPECT_EQ(
        record,
        std::string(
            "\x06\x00\x00\x00\x00\x00\x00\x00\x73\x69\xd5\x37\x70\x65\x74\x6e\x65\x74\x6a\x30\xee\x72", 22));
}

// Event(wall_time=1.5, step=300, summary=Summary(value=[Value(tag="loss", simple_value=.25)])).
TEST(event_record, scalars_as_protocol_buffers) {
    const std::string record = scalars_record(1.5, 300, {{"loss", 0.25F}});
    EXPECT_EQ(record.substr(12, record.size() - 16),
              std::string("\x09\x00\x00\x00\x00\x00\x00\xf8\x3f\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04\x6c\x6f"
                          "\x73\x73\x15\x00\x00\x80\x3e",
                          27));
    EXPECT_NE(text_record(1.5, 0, "parameters", "| a |").find("\x0a\x04text"), std::string::npos);
}
