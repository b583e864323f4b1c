// SPDX-License-Identifier: Apache-2.0
// Real photographs, damaged: cut, with flipped bits, exchanged parts, foreign headers. 300 of them, and
// 10,000 in the long run.
#include "base/random.hpp"
#include "data/loader.hpp"
#include "data/split.hpp"
#include "tests/data/test_folder.hpp"
#include "tests/support/long_run.hpp"

#include <algorithm>
#include <numeric>
#include <set>

using namespace petnet;
using namespace petnet::data;
namespace fs = std::filesystem;

namespace {

std::size_t photographs_to_make() { return petnet::testing::long_run() ? 10'000 : 300; }

std::vector<std::string> real_photographs() {
    std::vector<fs::path> paths;
    for (const fs::path& folder : {fs::path(PETNET_SAMPLE_DIR) / "images", fs::path(PETNET_ODD_PHOTOGRAPHS)})
        for (const auto& entry : fs::directory_iterator(folder))
            if (entry.path().extension() != ".ppm" && entry.file_size() > 64) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    std::vector<std::string> all;
    for (const fs::path& path : paths) {
        const auto bytes = read_file(path, 1 << 20);
        all.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    return all;
}

class mutator {
  public:
    explicit mutator(std::uint64_t number) : key_(random_key(7).child("mutation").child(number)) {}

    std::string operator()(std::string bytes, const std::string& other) {
        switch (below(7)) {
        case 0: // cut
            return bytes.substr(0, below(bytes.size()));
        case 1: // flipped bits, anywhere
            flip(bytes, bytes.size(), 1 + below(64));
            return bytes;
        case 2: // flipped bits in the headers
            flip(bytes, std::min<std::size_t>(bytes.size(), 700), 1 + below(4));
            return bytes;
        case 3: { // two parts exchanged
            const std::size_t length = 1 + below(bytes.size() / 3), half = bytes.size() / 2;
            std::swap_ranges(bytes.begin(),
                             bytes.begin() + static_cast<std::ptrdiff_t>(std::min(length, half)),
                             bytes.begin() + static_cast<std::ptrdiff_t>(half));
            return bytes;
        }
        case 4: // the beginning of another photograph, perhaps of another format
            return other.substr(0, 2 + below(std::min<std::size_t>(other.size() - 2, 600))) +
                   bytes.substr(below(std::min<std::size_t>(bytes.size(), 600)));
        case 5: // one part twice, or missing
            return bytes.substr(0, below(bytes.size())) + bytes.substr(below(bytes.size()));
        default: // a run of one value
            std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() / 2)),
                        below(bytes.size() / 2), static_cast<char>(below(2) == 0 ? 0 : 0xff));
            return bytes;
        }
    }

  private:
    std::size_t below(std::size_t bound) { return key_.bits(draw_++) % std::max<std::size_t>(bound, 1); }
    void flip(std::string& bytes, std::size_t within, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            char& byte = bytes[below(within)];
            byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << below(8)));
        }
    }
    random_key key_;
    std::uint64_t draw_ = 0;
};

} // namespace

TEST(mutated_photographs, are_named_and_counted_and_training_goes_on) {
    const test::temporary_folder folder;
    const std::vector<std::string> real = real_photographs();
    const std::size_t count = photographs_to_make(), sound = 40;
    for (std::size_t i = 0; i < count; ++i) {
        mutator mutate(i);
        folder.write("m" + std::to_string(i) + ".jpg",
                     mutate(real[i % real.size()], real[(i * 7 + 3) % real.size()]));
    }
    for (std::size_t i = 0; i < sound; ++i) folder.write("sound" + std::to_string(i) + ".jpg", real[i * 5]);
    folder.write("annotations.mat", "MATLAB 5.0 MAT-file");

    const image_folder listed = open_image_folder(folder.path());
    EXPECT_EQ(listed.photos.size() + listed.broken.size(), count + sound);
    EXPECT_EQ(listed.skipped, std::vector<std::string>{"annotations.mat"});
    photo_store store(listed, {.image_size = 32, .max_broken = 1});
    const std::vector<std::int32_t> labels(listed.photos.size());
    std::vector<std::size_t> all(listed.photos.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    photo_batch batch;

    std::set<std::string> delivered;
    loader valid(store, labels, all, pass::valid, {.batch_size = 16, .threads = 3});
    while (valid.next(batch))
        for (const std::size_t index : batch.indices) delivered.insert(listed.photos[index].name);

    std::set<std::string> broken;
    for (const broken_photo& each : store.broken()) {
        broken.insert(each.name);
        EXPECT_NE(each.reason.find(each.name), std::string::npos) << each.reason;
        EXPECT_EQ(each.reason.find('\n'), std::string::npos) << each.reason;
    }
    EXPECT_EQ(delivered.size() + broken.size(), count + sound) << "some were neither delivered nor named";
    EXPECT_GT(broken.size(), count / 4) << "the mutations do little";
    EXPECT_GT(delivered.size(), sound + count / 8) << "nothing damaged was tolerated, as Pillow tolerates it";
    for (std::size_t i = 0; i < sound; ++i)
        EXPECT_TRUE(delivered.contains("sound" + std::to_string(i) + ".jpg"));

    loader train(store, labels, all, pass::train, {.batch_size = 16, .threads = 3});
    std::size_t batches = 0;
    for (; train.next(batch); ++batches) EXPECT_EQ(batch.count, 16U);
    EXPECT_EQ(batches, listed.photos.size() / 16);
    RecordProperty("broken", static_cast<int>(broken.size()));
    RecordProperty("delivered", static_cast<int>(delivered.size()));
}
