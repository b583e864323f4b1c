// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics.hpp"

#include <gmock/gmock.h>

using namespace petnet::serve;
using ::testing::HasSubstr;

namespace {

TEST(histogram, counts_up_to_each_bound) {
    histogram values({1, 2.5});
    for (const double value : {0.5, 1.0, 1.5, 2.5, 100.0}) values.add(value);
    EXPECT_EQ(values.text("x"), "x_bucket{le=\"1\"} 2\nx_bucket{le=\"2.5\"} 4\nx_bucket{le=\"+Inf\"} 5\n"
                                "x_sum 105.5\nx_count 5\n");
}

TEST(metrics, text) {
    metrics counts;
    counts.count_answer(200);
    counts.count_answer(429);
    counts.count_answer(200);
    counts.count_request(0.02);
    counts.count_batch(3, 0.5);
    counts.count_batch(16, 0.25);
    counts.count_decoding(0.125);
    const std::string text = counts.text(7, 256);
    for (const char* line :
         {"petnet_http_answers_total{code=\"200\"} 2\n", "petnet_http_answers_total{code=\"429\"} 1\n",
          "petnet_score_seconds_bucket{le=\"0.01\"} 0\n", "petnet_score_seconds_bucket{le=\"0.025\"} 1\n",
          "petnet_batch_photographs_bucket{le=\"2\"} 0\n", "petnet_batch_photographs_bucket{le=\"4\"} 1\n",
          "petnet_batch_photographs_sum 19\n", "petnet_network_seconds_total 0.75\n",
          "petnet_decoded_photographs_total 1\n", "petnet_decode_seconds_total 0.125\n",
          "petnet_queue_photographs 7\n", "petnet_queue_limit 256\n",
          "# TYPE petnet_score_seconds histogram\n"})
        EXPECT_THAT(text, HasSubstr(line));
}

} // namespace
