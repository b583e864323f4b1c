// SPDX-License-Identifier: Apache-2.0
#include "serve/bearer_key.hpp"

#include <gtest/gtest.h>

using petnet::serve::bearer_key;

namespace {

TEST(bearer_key, who_brings_it) {
    const bearer_key key("open sesame");
    ASSERT_TRUE(key.is_set());
    // The second is base64 of "anybody:open sesame".
    for (const char* header :
         {"Bearer open sesame", "Basic YW55Ym9keTpvcGVuIHNlc2FtZQ==", "bearer   open sesame "})
        EXPECT_TRUE(key.admits(header)) << header;
    for (const char* header :
         {"", "Bearer", "Bearer ", "Bearer open sesam", "Bearer open sesame!", "open sesame",
          "Digest open sesame", "Basic open sesame", "Basic b3BlbiBzZXNhbWU=", "Basic !"})
        EXPECT_FALSE(key.admits(header)) << header;
}

TEST(bearer_key, none_is_needed) {
    const bearer_key none("");
    EXPECT_FALSE(none.is_set());
    EXPECT_TRUE(none.admits(""));
    EXPECT_TRUE(none.admits("Bearer whatever"));
}

} // namespace
