// SPDX-License-Identifier: Apache-2.0
#include "data/loader.hpp"

#include "base/random.hpp"
#include "data/labels.hpp"
#include "data/split.hpp"
#include "tests/data/test_folder.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <numeric>

using namespace petnet;
using namespace petnet::data;
using petnet::test::message_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

// What a pass delivered.
struct delivery {
    std::vector<std::size_t> numbers, counts, indices;
    std::vector<std::int32_t> labels;
    std::vector<std::uint8_t> pixels;
    bool operator==(const delivery&) const = default;
};

delivery run(loader& batches) {
    delivery result;
    photo_batch batch;
    while (batches.next(batch)) {
        EXPECT_EQ(batch.indices.size(), batch.count);
        EXPECT_EQ(batch.labels.size(), batch.count);
        result.numbers.push_back(batch.number);
        result.counts.push_back(batch.count);
        result.indices.insert(result.indices.end(), batch.indices.begin(), batch.indices.end());
        result.labels.insert(result.labels.end(), batch.labels.begin(), batch.labels.end());
        result.pixels.insert(result.pixels.end(), batch.pixels.begin(), batch.pixels.end());
    }
    return result;
}

// Photographs of one pixel each, whose gray is their number; those listed are broken inside.
class loading : public ::testing::Test {
  protected:
    void make(std::size_t count, const std::vector<std::size_t>& broken = {}) {
        for (std::size_t i = 0; i < count; ++i) {
            const bool is_broken = std::find(broken.begin(), broken.end(), i) != broken.end();
            const std::string name =
                std::string(1, static_cast<char>('a' + i / 26)) + static_cast<char>('a' + i % 26);
            folder_.write(name + ".bmp", is_broken ? test::one_pixel_bmp(0).substr(0, 20)
                                                   : test::one_pixel_bmp(static_cast<unsigned char>(i)));
            labels_.push_back(static_cast<std::int32_t>(i % 3));
        }
    }
    photo_store store(double max_broken = 1) const {
        store_options options;
        options.image_size = 4;
        options.max_broken = max_broken;
        return {open_image_folder(folder_.path()), options};
    }
    static std::vector<std::size_t> in_order(std::size_t count) {
        std::vector<std::size_t> order(count);
        std::iota(order.begin(), order.end(), std::size_t{0});
        return order;
    }
    test::temporary_folder folder_;
    std::vector<std::int32_t> labels_;
};

loader_options batches_of(std::size_t size, unsigned threads = 2) {
    loader_options options;
    options.batch_size = size;
    options.threads = threads;
    options.ahead = 2;
    return options;
}

} // namespace

TEST(loader_arithmetic, counts_batches) {
    EXPECT_EQ(batch_count(pass::train, 5912, 64), 92U);
    EXPECT_EQ(batch_count(pass::valid, 1478, 64), 24U);
    EXPECT_EQ(batch_count(pass::train, 63, 64), 0U);
    EXPECT_EQ(batch_count(pass::valid, 64, 64), 1U);
    EXPECT_EQ(batch_count(pass::valid, 0, 64), 0U);
}

// Kolmogorov-Smirnov against the uniform distribution: 1.95 / sqrt(n) is passed by chance once in a thousand.
TEST(loader_arithmetic, training_cuts_are_uniform_and_independent) {
    constexpr std::size_t count = 20'000;
    std::vector<double> cuts;
    double with_next_epoch = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string name = "photo_" + std::to_string(i) + ".jpg";
        cuts.push_back(training_cut(42, 3, name));
        with_next_epoch += (cuts.back() - 0.5) * (training_cut(42, 4, name) - 0.5) * 12 / count;
    }
    EXPECT_NEAR(with_next_epoch, 0, 4 / std::sqrt(count));
    std::sort(cuts.begin(), cuts.end());
    double apart = 0;
    for (std::size_t i = 0; i < count; ++i)
        apart = std::max(apart, std::abs(cuts[i] - (static_cast<double>(i) + 0.5) / count));
    EXPECT_LT(apart, 1.95 / std::sqrt(count));
    EXPECT_GE(cuts.front(), 0.0);
    EXPECT_LT(cuts.back(), 1.0);
}

TEST(loader_sample, gives_the_same_batches_with_any_number_of_threads) {
    const image_folder folder = open_image_folder(PETNET_SAMPLE_DIR);
    const photo_labels labels = label_photos(folder, label_rule::parse("breed"));
    const photo_split split = random_split(folder.photos.size(), 0.2, 42);
    store_options small;
    small.image_size = 32;
    std::vector<delivery> trained;
    std::vector<delivery> validated;
    for (const unsigned threads : {1U, 2U, 5U}) {
        photo_store store(folder, small);
        loader_options options = batches_of(16, threads);
        options.epoch = 1;
        loader train(store, labels.of_photo, epoch_order(split.train, 42, 1), pass::train, options);
        trained.push_back(run(train));
        loader valid(store, labels.of_photo, split.valid, pass::valid, options);
        validated.push_back(run(valid));
    }
    EXPECT_EQ(trained[0].counts, std::vector<std::size_t>(14, 16));
    EXPECT_EQ(validated[0].counts, (std::vector<std::size_t>{16, 16, 16, 11}));
    EXPECT_EQ(validated[0].indices, split.valid);
    for (std::size_t i : {1U, 2U}) {
        EXPECT_TRUE(trained[i] == trained[0]);
        EXPECT_TRUE(validated[i] == validated[0]);
    }
}

TEST(loader_sample, squares_are_those_of_resize_at_the_drawn_cut_even_where_nothing_is_kept) {
    const image_folder folder = open_image_folder(PETNET_SAMPLE_DIR);
    const std::vector<std::int32_t> labels(folder.photos.size(), 0);
    store_options options;
    options.image_size = 48;
    options.memory_limit = 100'000; // room for a few photographs
    photo_store store(folder, options);
    loader_options loading = batches_of(5);
    loading.seed = 9;
    loading.epoch = 2;
    const std::vector<std::size_t> order{7, 100, 42, 3, 250, 7, 11, 12, 13, 14};
    for (int repeat = 0; repeat < 2; ++repeat) {
        loader batches(store, labels, order, pass::train, loading);
        const delivery result = run(batches);
        ASSERT_EQ(result.indices, order);
        std::vector<std::uint8_t> expected;
        for (std::size_t index : order) {
            rgb_image image = decode(read_file(folder.path_of(index), 1 << 24), "");
            std::vector<std::uint8_t> square(48 * 48 * 3);
            cut_square(resize_covered_axis(image, 48), training_cut(9, 2, folder.photos[index].name), square);
            expected.insert(expected.end(), square.begin(), square.end());
        }
        EXPECT_TRUE(result.pixels == expected);
        EXPECT_LE(store.bytes_kept(), options.memory_limit);
        EXPECT_GT(store.bytes_kept(), 0U);
    }
}

TEST_F(loading, training_drops_the_last_partial_batch_and_validation_keeps_it) {
    make(10);
    photo_store photos = store();
    loader train(photos, labels_, in_order(10), pass::train, batches_of(4));
    EXPECT_THAT(run(train).counts, ElementsAre(4, 4));
    loader valid(photos, labels_, in_order(10), pass::valid, batches_of(4));
    const delivery all = run(valid);
    EXPECT_THAT(all.counts, ElementsAre(4, 4, 2));
    EXPECT_EQ(all.indices, in_order(10));
    EXPECT_EQ(all.labels, labels_);
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(all.pixels[i * 48], i);
    loader none(photos, labels_, in_order(3), pass::train, batches_of(4));
    EXPECT_TRUE(run(none).counts.empty());
}

TEST_F(loading, training_fills_the_place_of_a_broken_photograph_with_the_next_sound_one) {
    make(12, {2, 3, 9, 11});
    for (const unsigned threads : {1U, 4U}) {
        photo_store photos = store();
        loader train(photos, labels_, {0, 2, 3, 5, 11, 9, 8, 11}, pass::train, batches_of(4, threads));
        const delivery result = run(train);
        EXPECT_THAT(result.indices, ElementsAre(0, 5, 5, 5, 8, 8, 8, 0));
        for (std::size_t i = 0; i < 8; ++i) {
            EXPECT_EQ(result.pixels[i * 48], result.indices[i]);
            EXPECT_EQ(result.labels[i], labels_[result.indices[i]]);
        }
        std::vector<std::string> named;
        for (const broken_photo& broken : photos.broken()) named.push_back(broken.name);
        EXPECT_THAT(named, ElementsAre("ac.bmp", "ad.bmp", "aj.bmp", "al.bmp"));
        EXPECT_THAT(photos.broken()[0].reason, HasSubstr("ac.bmp: the BMP ends within its header"));
    }
}

TEST_F(loading, delivers_photographs_in_the_form_that_is_asked_for) {
    using enum photo_form;
    constexpr std::array forms{whole, square, known, whole, square, known, whole, whole, known};
    make(forms.size(), {4, 7});
    for (const pass kind : {pass::train, pass::valid}) {
        photo_store photos = store();
        std::vector<std::size_t> asked;
        loader_options options = batches_of(forms.size(), 3);
        options.form_of = [&](std::size_t index) {
            asked.push_back(index);
            return forms.at(index);
        };
        loader pass_over(photos, labels_, in_order(9), kind, options);
        photo_batch batch;
        ASSERT_TRUE(pass_over.next(batch));
        EXPECT_EQ(asked, in_order(9));
        EXPECT_EQ(batch.count, kind == pass::train ? 9U : 7U);
        std::size_t squares = 0;
        for (std::size_t place = 0; place < batch.count; ++place) {
            const std::size_t index = batch.indices[place];
            EXPECT_EQ(batch.labels[place], labels_[index]);
            EXPECT_EQ(batch.fractions[place],
                      kind == pass::train
                          ? training_cut(options.seed, options.epoch, photos.folder().photos[index].name)
                          : 0.5);
            if (batch.forms[place] == square) {
                EXPECT_EQ(batch.pixels.at(48 * squares++), index);
            }
            EXPECT_EQ(batch.whole[place] != nullptr, batch.forms[place] == whole) << place;
            if (batch.whole[place]) {
                EXPECT_EQ(batch.whole[place]->pixels[0], index);
            }
        }
        EXPECT_EQ(batch.pixels.size(), 48 * squares);
        EXPECT_EQ(squares, kind == pass::train ? 2U : 1U);
        EXPECT_FALSE(pass_over.next(batch));
    }
}

TEST_F(loading, a_pass_begun_later_delivers_what_the_whole_pass_would) {
    make(30, {4, 17});
    photo_store whole_store = store();
    const auto order = random_permutation(30, random_key(1));
    loader whole(whole_store, labels_, order, pass::train, batches_of(4));
    const delivery all = run(whole);
    loader_options later = batches_of(4);
    later.first_batch = 3;
    photo_store fresh = store();
    loader rest(fresh, labels_, order, pass::train, later);
    const delivery tail = run(rest);
    EXPECT_THAT(tail.numbers, ElementsAre(3, 4, 5, 6));
    EXPECT_TRUE(
        std::equal(tail.indices.begin(), tail.indices.end(), all.indices.begin() + 12, all.indices.end()));
    EXPECT_TRUE(
        std::equal(tail.pixels.begin(), tail.pixels.end(), all.pixels.begin() + 12 * 48, all.pixels.end()));
}

// What processes of one training deliver together, each from a store of its own, is what one delivers.
TEST_F(loading, loaders_that_take_turns_share_a_pass) {
    make(23, {3, 4, 12});
    photo_store whole = store();
    loader one(whole, labels_, in_order(23), pass::train, batches_of(6));
    const delivery expected = run(one);
    ASSERT_EQ(expected.counts.size(), 3U);
    std::vector<delivery> parts;
    std::vector<std::unique_ptr<photo_store>> stores;
    for (std::size_t turn = 0; turn < 3; ++turn) {
        loader_options options = batches_of(2);
        options.loaders = 3;
        options.turn = turn;
        stores.push_back(std::make_unique<photo_store>(open_image_folder(folder_.path()), whole.options()));
        loader part(*stores.back(), labels_, in_order(23), pass::train, options);
        EXPECT_EQ(part.batches(), 3U);
        parts.push_back(run(part));
    }
    delivery together;
    const std::size_t square = expected.pixels.size() / expected.indices.size();
    for (std::size_t i = 0; i < expected.indices.size(); i += 2) {
        const delivery& part = parts.at(i / 2 % 3);
        const auto from = static_cast<std::ptrdiff_t>(i / 6 * 2), bytes = static_cast<std::ptrdiff_t>(square);
        together.indices.insert(together.indices.end(), part.indices.begin() + from,
                                part.indices.begin() + from + 2);
        together.pixels.insert(together.pixels.end(), part.pixels.begin() + from * bytes,
                               part.pixels.begin() + (from + 2) * bytes);
    }
    EXPECT_EQ(together.indices, expected.indices);
    EXPECT_EQ(together.pixels, expected.pixels);

    // One that learns what the others found knows what one that has read all knows.
    for (std::size_t i = 1; i < stores.size(); ++i)
        for (const photo_finding& found : stores[i]->findings()) stores[0]->learn(found);
    for (std::size_t i = 18; i < 23; ++i) { // in no batch
        static_cast<void>(stores[0]->photo(i));
        static_cast<void>(whole.photo(i));
    }
    ASSERT_TRUE(whole.data_hash());
    EXPECT_EQ(stores[0]->data_hash(), whole.data_hash());
    EXPECT_EQ(stores[0]->broken().size(), 3U);
    EXPECT_THROW(loader(whole, labels_, in_order(23), pass::valid, {.loaders = 2}), std::logic_error);
    EXPECT_THROW(loader(whole, labels_, in_order(23), pass::train, {.loaders = 2, .turn = 2}),
                 std::logic_error);
}

TEST_F(loading, validation_leaves_broken_photographs_out) {
    make(9, {0, 2, 3, 4, 5});
    photo_store photos = store();
    loader valid(photos, labels_, in_order(9), pass::valid, batches_of(3));
    const delivery result = run(valid); // the second batch is empty and not delivered
    EXPECT_THAT(result.numbers, ElementsAre(0, 2));
    EXPECT_THAT(result.indices, ElementsAre(1, 6, 7, 8));
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(result.pixels[i * 48], result.indices[i]);
}

TEST_F(loading, too_many_broken_photographs_stop_the_pass) {
    make(40, {3, 4, 5, 6});
    photo_store photos = store(0.09);
    loader train(photos, labels_, in_order(40), pass::train, batches_of(8, 3));
    photo_batch batch;
    const auto consume = [&] {
        while (train.next(batch)) {
        }
    };
    EXPECT_THAT(message_of<input_error>(consume), HasSubstr("4 of 40 photographs"));
    EXPECT_THROW((void)train.next(batch), input_error);

    photo_store tolerant = store(0.1);
    loader goes_on(tolerant, labels_, in_order(40), pass::train, batches_of(8, 3));
    EXPECT_EQ(run(goes_on).counts.size(), 5U);
}

TEST_F(loading, says_when_every_photograph_is_broken) {
    make(4, {0, 1, 2, 3});
    photo_store photos = store();
    loader train(photos, labels_, in_order(4), pass::train, batches_of(2));
    photo_batch batch;
    EXPECT_THAT(message_of<input_error>([&] { (void)train.next(batch); }), HasSubstr("is broken"));
}

TEST_F(loading, a_photograph_that_vanishes_counts_as_broken) {
    make(5);
    photo_store photos = store();
    fs::remove(folder_.path() / "ab.bmp");
    loader valid(photos, labels_, in_order(5), pass::valid, batches_of(5));
    EXPECT_THAT(run(valid).indices, ElementsAre(0, 2, 3, 4));
    EXPECT_THAT(photos.broken().at(0).reason, HasSubstr("cannot read"));
}

TEST_F(loading, ends_early_without_delay) {
    make(60);
    photo_store photos = store();
    const auto began = std::chrono::steady_clock::now();
    for (std::size_t consumed = 0; consumed < 20; ++consumed) {
        loader train(photos, labels_, in_order(60), pass::train, batches_of(3, 5));
        photo_batch batch;
        for (std::size_t i = 0; i < consumed; ++i) ASSERT_TRUE(train.next(batch));
    }
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
}

TEST_F(loading, prepares_ahead_so_that_a_slow_consumer_does_not_wait) {
    make(40);
    photo_store photos = store();
    loader train(photos, labels_, in_order(40), pass::train, batches_of(4));
    photo_batch batch;
    ASSERT_TRUE(train.next(batch));
    const double first = train.seconds_waited();
    while (train.next(batch)) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_GE(first, 0.0);
    EXPECT_LT(train.seconds_waited() - first, 0.5); // of 1 s and more spent consuming
}

TEST_F(loading, hashes_names_and_contents_once_all_are_read) {
    make(6);
    const auto hash = [&] {
        photo_store photos = store();
        EXPECT_FALSE(photos.data_hash());
        for (std::size_t i = 6; i-- > 0;) (void)photos.photo(i);
        return photos.data_hash().value_or("");
    };
    const std::string before = hash();
    EXPECT_EQ(before.size(), 64U);
    EXPECT_EQ(hash(), before);
    folder_.write("ab.bmp", test::one_pixel_bmp(77));
    EXPECT_NE(hash(), before);
}

TEST_F(loading, counts_what_the_listing_already_found_broken) {
    make(5);
    folder_.write("zz.jpg", "no image");
    EXPECT_THROW((void)store(0.1), input_error);
    photo_store photos = store(0.2);
    EXPECT_EQ(photos.broken().size(), 1U);
}
