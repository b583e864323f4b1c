// SPDX-License-Identifier: Apache-2.0
// A large folder: 10,000 links to the sample's files under new names, and 100,000 in the long run. The limits
// are those of 100,000.
#include "data/labels.hpp"
#include "data/loader.hpp"
#include "data/split.hpp"
#include "tests/data/test_folder.hpp"
#include "tests/support/address_sanitizer.hpp"
#include "tests/support/long_run.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sys/resource.h>

using namespace petnet;
using namespace petnet::data;
namespace fs = std::filesystem;

namespace {

constexpr double sanitizer_factor = petnet::testing::address_sanitizer ? 4 : 1;

double peak_megabytes() {
    struct rusage use {};
    ::getrusage(RUSAGE_SELF, &use);
    return static_cast<double>(use.ru_maxrss) / 1e3;
}

double resident_megabytes() {
    std::size_t pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

void link_photographs(const fs::path& folder, std::size_t count) {
    std::vector<fs::path> sample;
    for (const auto& entry : fs::directory_iterator(fs::path(PETNET_SAMPLE_DIR) / "images"))
        sample.push_back(entry.path());
    std::sort(sample.begin(), sample.end());
    for (std::size_t i = 0; i < count; ++i)
        fs::create_symlink(sample[i % sample.size()],
                           folder /
                               (std::to_string(i) + "_" + sample[i % sample.size()].filename().string()));
}

} // namespace

TEST(many_photographs, are_listed_split_and_started_in_seconds_and_little_memory) {
    const std::size_t count = petnet::testing::long_run() ? 100'000 : 10'000;
    const test::temporary_folder place;
    link_photographs(place.path(), count);

    const double before = peak_megabytes();
    const auto began = std::chrono::steady_clock::now();
    const image_folder folder = open_image_folder(place.path());
    ASSERT_EQ(folder.photos.size(), count);
    const photo_labels labels = label_photos(folder, label_rule::parse("breed"));
    EXPECT_GE(labels.class_names.size(), 37U);
    const photo_split split = random_split(count, 0.2, 42);
    EXPECT_EQ(folder.fingerprint().size(), 64U);
    photo_store store(folder, {.image_size = 224, .cache_folder = place.path() / "cache"});
    loader batches(store, labels.of_photo, epoch_order(split.train, 42, 0), pass::train, {.threads = 2});
    photo_batch batch;
    ASSERT_TRUE(batches.next(batch));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const double megabytes = peak_megabytes() - before;
    EXPECT_LT(seconds, 5 * sanitizer_factor);
    EXPECT_LT(megabytes, 300 * sanitizer_factor);
    RecordProperty("seconds", std::to_string(seconds));
    RecordProperty("megabytes", std::to_string(megabytes));
}

TEST(many_photographs, take_no_more_memory_with_every_epoch) {
    if (petnet::testing::address_sanitizer) GTEST_SKIP() << "AddressSanitizer keeps freed memory for a while";
    const test::temporary_folder place;
    link_photographs(place.path(), 800);
    const image_folder folder = open_image_folder(place.path());
    const std::vector<std::int32_t> labels(folder.photos.size());
    const photo_split split = random_split(folder.photos.size(), 0.2, 42);
    for (const std::size_t memory :
         {std::size_t{1} << 30, std::size_t{500'000}}) { // all kept; most in the file
        photo_store store(folder,
                          {.image_size = 32, .memory_limit = memory, .cache_folder = place.path() / "cache"});
        const auto epoch = [&](std::uint64_t number) {
            loader batches(store, labels, epoch_order(split.train, 42, number), pass::train,
                           {.epoch = number, .threads = 2});
            for (photo_batch batch; batches.next(batch);) {
            }
        };
        std::uint64_t number = 0;
        for (; number < 4; ++number) epoch(number);
        const double before = resident_megabytes();
        for (; number < 24; ++number) epoch(number);
        EXPECT_LT(resident_megabytes() - before, 5 * sanitizer_factor)
            << "of " << before << " MB, in 20 epochs";
    }
}
