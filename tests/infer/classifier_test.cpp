// SPDX-License-Identifier: Apache-2.0
// A model file, ready to classify.
#include "infer/classifier.hpp"

#include "base/files.hpp"
#include "infer/probabilities.hpp"
#include "tests/infer/made_up_model.hpp"

#include <algorithm>
#include <gmock/gmock.h>

using namespace petnet;

namespace {

class classifier : public petnet::testing::model_folder {
  protected:
    static std::vector<std::uint8_t> squares(std::size_t count, std::size_t bytes) {
        std::vector<std::uint8_t> pixels(count * bytes);
        for (std::size_t i = 0; i < pixels.size(); ++i)
            pixels[i] = static_cast<std::uint8_t>(random_key(7).bits(i / 4));
        return pixels;
    }
};

TEST_F(classifier, gives_the_same_logits_in_batches_of_any_size) {
    petnet::testing::write_made_up_model(at("m"), petnet::testing::description_of_32());
    for (const char* device : {"reference", "auto"}) {
        const std::vector<std::uint8_t> pixels = squares(5, 3 * 32 * 32);
        std::vector<float> first;
        for (const std::int64_t batch : {8, 3}) {
            infer::classifier model(at("m"), {.device = device, .threads = 1, .batch_size = batch});
            const std::vector<float> logits = model.classify(pixels);
            ASSERT_EQ(logits.size(), 15U);
            if (first.empty()) first = logits;
            // Some 50 layers of sums in another order; on one thread of plain loops there is one order.
            const float limit = model.device().starts_with("reference") ? 0.0F : 1e-4F;
            for (std::size_t i = 0; i < logits.size(); ++i)
                EXPECT_NEAR(logits[i], first[i], limit * (1 + std::abs(first[i]))) << device << " " << batch;
            EXPECT_EQ(model.classify(pixels), logits) << "other bits the second time";
        }
        EXPECT_GT(*std::ranges::max_element(first) - *std::ranges::min_element(first), 0.01F);
        EXPECT_FALSE(std::equal(first.begin(), first.begin() + 3, first.begin() + 3)) << "one answer for all";
    }
}

TEST_F(classifier, refuses_what_is_no_model) {
    const auto refusal = [&](const char* file, const infer::classifier_options& options = {}) {
        try {
            const infer::classifier model(at(file), options);
        } catch (const error& problem) {
            return std::string(problem.what());
        }
        return std::string("nothing");
    };
    using ::testing::HasSubstr;
    petnet::testing::write_made_up_model(at("m"), petnet::testing::description_of_32());
    EXPECT_THAT(refusal("m", {.precision = "fp8"}), HasSubstr("--precision"));
    EXPECT_THAT(refusal("m", {.batch_size = 0}), HasSubstr("--batch-size"));
    EXPECT_THAT(refusal("m", {.device = "tpu"}), HasSubstr("tpu"));

    const model::weight_file weights = model::read_weight_file(at("m"));
    std::vector<model::weight_tensor> body = weights.tensors;
    std::erase_if(body, [](const auto& tensor) { return tensor.name == "head.fc1.weight"; });
    model::write_safetensors(at("body"), body, weights.metadata);
    EXPECT_THAT(refusal("body"), HasSubstr("head"));
}

TEST(probabilities, are_a_softmax_that_does_not_overflow) {
    const std::vector<float> logits{1000, 1001, -1000};
    const std::vector<double> p = infer::probabilities_of(logits);
    EXPECT_NEAR(p[0], 0.2689414213699951, 1e-12); // 1 / (1 + e)
    EXPECT_NEAR(p[1], 0.7310585786300049, 1e-12);
    EXPECT_EQ(p[2], 0);
    EXPECT_EQ(infer::label_of(logits), 1U);
    EXPECT_EQ(infer::label_of(std::vector<float>{2, 5, 5}), 1U) << "the first of equals";
}

} // namespace
