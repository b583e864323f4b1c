// SPDX-License-Identifier: Apache-2.0
#include "base/utc_time.hpp"

#include <ctime>
#include <gmock/gmock.h>

using namespace petnet;

TEST(utc_time, of_greenwich_wherever_it_is_asked_for) {
    ::setenv("TZ", "Asia/Tokyo", 1);
    ::tzset();
    const std::time_t before = std::time(nullptr);
    const std::string text = utc_now();
    std::tm parts{};
    ASSERT_NE(::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts), nullptr) << text;
    EXPECT_GE(::timegm(&parts), before);
    EXPECT_LE(::timegm(&parts), std::time(nullptr));
    EXPECT_THAT(utc_now("%Y-%m-%d at %H"), ::testing::MatchesRegex("20[0-9-]+ at [0-9][0-9]"));
}
