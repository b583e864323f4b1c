// SPDX-License-Identifier: Apache-2.0
// Batches, the queue's bound, and answers that reach who asked.
#include "serve/scorer.hpp"

#include "base/files.hpp"

#include <atomic>
#include <filesystem>
#include <gtest/gtest.h>
#include <latch>
#include <thread>

using namespace petnet;
using namespace petnet::serve;
using namespace std::chrono_literals;

namespace {

std::vector<std::byte> photograph(const char* name) {
    return read_file(std::filesystem::path(PETNET_SAMPLE_DIR) / "images" / name, 1U << 20U);
}

class scoring : public ::testing::Test {
  protected:
    static constexpr std::size_t batch = 4;
    // Of batches that are filled, or of what nobody else is on the way for.
    void begin(std::chrono::milliseconds wait = 10s, std::size_t queue = 64) {
        scorer_.emplace(scorer_limits{.batch = batch, .wait = wait, .queue = queue, .decoders = 2}, counts_);
        worker_ = std::jthread([this] { scorer_->run(model_, [this] { return stop_.load(); }); });
    }
    ~scoring() override { stop_ = true; }

    std::vector<photo_answer> score(std::span<const sent_photo> photos) {
        std::optional<scorer::admission> place = scorer_->admit();
        EXPECT_TRUE(place && place->resize(photos.size()));
        return scorer_->score(photos, std::move(*place));
    }
    std::vector<float> expected(std::span<const std::byte> bytes) {
        std::vector<std::uint8_t> square(model_.square_bytes());
        model_.make_square(bytes, "expected", square);
        return model_.classify(square);
    }
    [[nodiscard]] bool counted(const std::string& line) const {
        return counts_.text(0, 0).find("\n" + line + "\n") != std::string::npos;
    }
    // What the last batches left may not be released yet.
    void expect_nothing_admitted() const { EXPECT_EQ(scorer_->admitted(), 0U); }

    infer::classifier model_{PETNET_MADE_UP_MODEL, {.device = "cpu", .threads = 1, .batch_size = batch}};
    metrics counts_;
    std::optional<scorer> scorer_;

  private:
    std::atomic<bool> stop_ = false;
    std::jthread worker_;
};

// A run of a plan rounds its sums as its size does.
void expect_near(const std::vector<float>& answer, const std::vector<float>& expected) {
    ASSERT_EQ(answer.size(), expected.size());
    for (std::size_t i = 0; i < answer.size(); ++i) EXPECT_NEAR(answer[i], expected[i], 1e-4);
}

TEST_F(scoring, each_photograph_has_its_own_answer) {
    const std::vector<std::byte> pug = photograph("pug_112.jpg"), beagle = photograph("beagle_10.jpg");
    const std::vector<float> of_pug = expected(pug), of_beagle = expected(beagle);
    ASSERT_NE(of_pug, of_beagle);
    begin();
    const std::vector<std::byte> no_photograph(100);
    std::vector<sent_photo> photos;
    for (int i = 0; i < 3; ++i) {
        photos.push_back({"pug", pug});
        photos.push_back({"nothing", no_photograph});
        photos.push_back({"beagle", beagle});
        photos.push_back({"half", std::span(pug).first(pug.size() / 2)});
    }
    const std::vector<photo_answer> answers = score(photos);
    ASSERT_EQ(answers.size(), photos.size());
    for (std::size_t i = 0; i < answers.size(); i += 4) {
        expect_near(answers[i].logits, of_pug);
        EXPECT_TRUE(answers[i].problem.empty());
        EXPECT_TRUE(answers[i + 1].logits.empty());
        EXPECT_EQ(answers[i + 1].problem, "nothing: not a JPEG, PNG, GIF, BMP, WebP or TIFF image");
        EXPECT_FALSE(answers[i + 1].ours);
        expect_near(answers[i + 2].logits, of_beagle);
        EXPECT_TRUE(answers[i + 3].problem.starts_with("half: ")) << answers[i + 3].problem;
    }
    expect_nothing_admitted();
}

TEST_F(scoring, senders_share_batches) {
    begin();
    const std::vector<std::byte> pug = photograph("pug_112.jpg");
    // Each holds a place before any sends: nobody's batch begins until all are there.
    std::latch admitted(2 * batch);
    std::vector<std::jthread> senders;
    for (std::size_t i = 0; i < 2 * batch; ++i)
        senders.emplace_back([&] {
            std::optional<scorer::admission> place = scorer_->admit();
            ASSERT_TRUE(place);
            admitted.arrive_and_wait();
            const sent_photo photo{"pug", pug};
            EXPECT_EQ(scorer_->score({&photo, 1}, std::move(*place)).front().logits.size(), model_.classes());
        });
    senders.clear();
    EXPECT_TRUE(counted("petnet_batch_photographs_sum 8")) << counts_.text(0, 0);
    EXPECT_TRUE(counted("petnet_batch_photographs_count 2")) << counts_.text(0, 0);
}

TEST_F(scoring, who_is_alone_does_not_wait) {
    begin();
    const std::vector<std::byte> pug = photograph("pug_112.jpg");
    const sent_photo photo{"pug", pug};
    const auto start = std::chrono::steady_clock::now();
    (void)score({&photo, 1});
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s); // of the ten that it may wait for others
}

TEST_F(scoring, who_is_slow_is_waited_for_a_little) {
    begin(1ms);
    const std::optional<scorer::admission> slow = scorer_->admit();
    const std::vector<std::byte> pug = photograph("pug_112.jpg");
    const sent_photo photo{"pug", pug};
    EXPECT_EQ(score({&photo, 1}).size(), 1U);
}

TEST_F(scoring, the_queue_is_bounded) {
    begin(10s, 3);
    {
        std::optional<scorer::admission> one = scorer_->admit();
        ASSERT_TRUE(one);
        EXPECT_TRUE(one->resize(2));
        const std::optional<scorer::admission> last = scorer_->admit();
        EXPECT_TRUE(last);
        EXPECT_FALSE(scorer_->admit());
        EXPECT_FALSE(one->resize(3));
        EXPECT_EQ(scorer_->admitted(), 3U) << "what was refused took a place";
        EXPECT_TRUE(one->resize(1));
        EXPECT_TRUE(scorer_->admit());
    }
    expect_nothing_admitted();
    EXPECT_EQ(scorer_->seconds_until_room(), 1);
}

} // namespace
