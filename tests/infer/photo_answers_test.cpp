// SPDX-License-Identifier: Apache-2.0
// Answers for photographs of a folder, and augmentation at test time.
#include "infer/photo_answers.hpp"

#include "base/files.hpp"
#include "data/augment.hpp"
#include "data/loader.hpp"
#include "data/resized_photo.hpp"
#include "infer/probabilities.hpp"
#include "tests/infer/made_up_model.hpp"

#include <algorithm>
#include <map>

using namespace petnet;

namespace {

namespace fs = std::filesystem;

class photo_answers : public petnet::testing::model_folder {
  protected:
    // Four photographs, the third of them broken.
    data::image_folder photographs() const {
        data::image_folder folder;
        folder.root = fs::path(PETNET_SAMPLE_DIR) / "images";
        for (const char* name : {"pug_112.jpg", "beagle_10.jpg", "broken", "Siamese_108.jpg"})
            folder.photos.push_back({name, 4000});
        folder.photos[2].name = at("broken").string();
        write_file_atomically(at("broken"), "\xff\xd8\xff no photograph");
        return folder;
    }
    static std::map<std::size_t, std::vector<float>>
    answers(infer::classifier& model, data::image_folder folder, const infer::answering& how) {
        std::map<std::size_t, std::vector<float>> found;
        data::photo_store photos = infer::photos_for(model, std::move(folder), how.tta);
        EXPECT_TRUE(
            infer::answer_photos(model, photos, {3, 2, 1, 0}, how, [&](std::size_t photo, auto logits) {
                EXPECT_TRUE(found.empty() || photo < found.begin()->first)
                    << "not in the order that was asked for";
                found[photo].assign(logits.begin(), logits.end());
            }));
        EXPECT_EQ(photos.broken().size(), 1U);
        return found;
    }
};

TEST_F(photo_answers, are_the_classifiers_for_each_sound_photograph) {
    petnet::testing::write_made_up_model(at("m"), petnet::testing::description_of_32());
    infer::classifier model(at("m"), {.threads = 1, .batch_size = 2});
    const data::image_folder folder = photographs();
    const auto found = answers(model, folder, {.threads = 2});
    ASSERT_EQ(found.size(), 3U);
    for (const auto& [photo, logits] : found) {
        std::vector<std::uint8_t> square(model.square_bytes());
        model.make_square(read_file(folder.path_of(photo), 1 << 20), "photo", square);
        const std::vector<float> alone = model.classify(square);
        for (std::size_t c = 0; c < alone.size(); ++c)
            EXPECT_NEAR(logits[c], alone[c], 1e-4F * (1 + std::abs(alone[c]))) << photo;
    }
}

// lerp(mean of the augmented, plain, 0.25), from the draws and the operations themselves.
TEST_F(photo_answers, by_tta_are_those_of_fastais_formula) {
    for (const std::int64_t photo_size : {32, 66}) {
        petnet::testing::write_made_up_model(at("m"), petnet::testing::description_of_32(photo_size));
        infer::classifier model(at("m"), {.threads = 1, .batch_size = 4, .transforms = true});
        const data::image_folder folder = photographs();
        const auto found = answers(model, folder, {.tta = true, .seed = 5});
        ASSERT_EQ(found.size(), 3U);
        for (const auto& [photo, logits] : found) {
            const std::string& name = folder.photos[photo].name;
            const data::half_resized half = data::resized_photo(read_file(folder.path_of(photo), 1 << 20),
                                                                name, static_cast<std::size_t>(photo_size));
            std::vector<std::uint8_t> square(model.square_bytes());
            std::vector<double> expected(3);
            for (std::uint64_t epoch = 0; epoch < 4; ++epoch) {
                data::cut_square(half, data::training_cut(5, epoch, name), square);
                const data::photo_transform row = data::transform_of(data::draw_augmentation(5, epoch, name));
                const std::vector<double> p = infer::probabilities_of(
                    photo_size == 32 ? model.classify(square) : model.classify(square, row));
                for (std::size_t c = 0; c < 3; ++c) expected[c] += 0.75 * p[c] / 4;
            }
            data::cut_square(half, 0.5, square);
            const std::vector<double> plain = infer::probabilities_of(model.classify(square));
            double sum = 0, moved = 0;
            for (std::size_t c = 0; c < 3; ++c) {
                expected[c] += 0.25 * plain[c];
                EXPECT_NEAR(std::exp(logits[c]), expected[c], 1e-4) << name << " " << photo_size;
                sum += std::exp(static_cast<double>(logits[c]));
                moved += std::abs(expected[c] - plain[c]);
            }
            EXPECT_NEAR(sum, 1, 1e-5);
            EXPECT_GT(moved, 1e-6) << "nothing was augmented";
        }
    }
}

} // namespace
