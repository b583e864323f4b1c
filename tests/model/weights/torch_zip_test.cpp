// SPDX-License-Identifier: Apache-2.0
#include "torch_builder.hpp"

#include "model/weights/zip_directory.hpp"

using namespace petnet;
using namespace petnet::model;
using namespace petnet::model::testing;
using namespace petnet::model::testing::pickled;
using ::testing::HasSubstr;

namespace {

const std::string weights = dictionary({{"a", tensor(storage(2), 0, integers({2}), integers({1}))}});
const std::string two = floats({1, 2});

TEST(torch_zip, plain_and_zip64) {
    EXPECT_EQ(read(torch_zip(weights, two)).find("a")->to_float32(), (std::vector<float>{1, 2}));
    EXPECT_EQ(read(torch_zip(weights, two, true)).find("a")->to_float32(), (std::vector<float>{1, 2}));
}

TEST(torch_zip, comments_are_skipped) {
    std::string file = torch_zip(weights, two);
    file.resize(file.size() - 2);
    EXPECT_EQ(read(file + le<std::uint16_t>(5) + "hello").tensors.size(), 1u);
}

TEST(torch_zip, archives_of_other_kinds_are_named) {
    const std::string data = program(weights);
    EXPECT_THAT(refusal(zip({})), HasSubstr("no data.pkl"));
    EXPECT_THAT(refusal(zip({{"readme.txt", "hello"}})), HasSubstr("no data.pkl"));
    EXPECT_THAT(refusal(zip({{"a/data.pkl", data}, {"b/data.pkl", data}})), HasSubstr("more than one"));
    EXPECT_THAT(refusal(zip({{"a/data.pkl", data}, {"a/constants.pkl", ""}})), HasSubstr("TorchScript"));
    EXPECT_THAT(refusal(zip({{"a/data.pkl", data}, {"a/code/__torch__.py", "", 8}})),
                HasSubstr("TorchScript program (torch.jit.save); expected a state dict"));
    EXPECT_THAT(refusal(zip({{"a/code/net.py", "", 8}, {"a/data.pkl", data, 8}, {"a/constants.pkl", "", 8}})),
                HasSubstr("TorchScript"));
    EXPECT_THAT(refusal(zip({{"a/data.pkl", data}, {"a/code.py", "", 8}})),
                HasSubstr("'a/code.py' is compressed"));
    EXPECT_THAT(refusal(zip({{"cat.jpg", "photograph", 8}})), HasSubstr("no data.pkl"));
    EXPECT_THAT(refusal(zip({{"a/data.pkl", data}, {"a/byteorder", "big"}})), HasSubstr("big-endian"));
    EXPECT_THAT(refusal(zip({{"a/data.pkl", data, 8}})), HasSubstr("is compressed"));
    EXPECT_THAT(refusal(zip({{"a/data.pkl", data, 0, 1}})), HasSubstr("is encrypted"));
    EXPECT_THAT(refusal(zip({{"a/data.pkl", data}, {"a/data.pkl", data}})), HasSubstr("twice"));
}

// Replaces the bytes after the last place where `after` is found.
std::string patched(std::string file, std::string_view after, std::size_t distance,
                    const std::string& bytes) {
    return file.replace(file.rfind(after) + distance, bytes.size(), bytes);
}

TEST(torch_zip, damaged_directories_are_refused) {
    const std::string file = torch_zip(weights, two), large = torch_zip(weights, two, true);
    const auto huge = le<std::uint32_t>(0xfffffff0);
    const auto huge64 = le<std::uint64_t>(~0ULL - 8);
    const std::string_view end = "PK\x05\x06", entry = "PK\x01\x02", local = "PK\x03\x04",
                           end64 = "PK\x06\x06", locator = "PK\x06\x07";
    const std::pair<const char*, std::string> cases[] = {
        {"no end record", patched(file, end, 0, "XX")},
        {"more bytes after the end", file + "x"},
        {"another disk", patched(file, end, 4, le<std::uint16_t>(1))},
        {"entries elsewhere", patched(file, end, 8, le<std::uint16_t>(1))},
        {"too many entries", patched(file, end, 8, le<std::uint16_t>(60000) + le<std::uint16_t>(60000))},
        {"one entry too many", patched(file, end, 8, le<std::uint16_t>(4) + le<std::uint16_t>(4))},
        {"directory too large", patched(file, end, 12, huge)},
        {"directory too far", patched(file, end, 16, huge)},
        {"directory at the beginning", patched(file, end, 16, le<std::uint32_t>(0))},
        {"entry without signature", patched(file, entry, 0, "XX")},
        {"sizes disagree", patched(file, entry, 20, le<std::uint32_t>(7))},
        {"content too large", patched(file, entry, 20, huge + huge)},
        {"name too long", patched(file, entry, 28, "\xff\xff")},
        {"extra too long", patched(file, entry, 30, "\xff\xff")},
        {"comment too long", patched(file, entry, 32, "\xff\xff")},
        {"offset too far", patched(file, entry, 42, huge)},
        {"offset of another entry", patched(file, entry, 42, le<std::uint32_t>(0))},
        {"local header gone", patched(file, local, 0, "XX")},
        {"local name too long", patched(file, local, 26, "\xff\xff")},
        {"local name other", patched(file, local, 30, "XX")},
        {"local extra too long", patched(file, local, 28, "\xff\xff")},
        {"zip64 record gone", patched(large, end64, 0, "XX")},
        {"zip64 locator wrong", patched(large, locator, 8, huge64)},
        {"zip64 directory too far", patched(large, end64, 48, huge64)},
        {"zip64 directory too large", patched(large, end64, 40, huge64)},
        {"zip64 too many entries", patched(large, end64, 24, huge64 + huge64)},
        {"zip64 counts disagree", patched(large, end64, 24, le<std::uint64_t>(1))},
        {"zip64 size too large", patched(large, "archive/data/0", 18, huge64 + huge64)},
        {"zip64 offset too far", patched(large, "archive/data/0", 34, huge64)},
        {"zip64 field too short", patched(large, "archive/data/0", 16, le<std::uint16_t>(8))},
    };
    for (const auto& [name, content] : cases) EXPECT_THAT(refusal(content), HasSubstr("zip")) << name;
}

TEST(torch_zip, overlapping_entries_are_refused) {
    // The second entry lies inside the first one's content.
    const std::string inner = zip({{"a/data/0", "1234"}});
    const std::string inner_entry = inner.substr(0, inner.find("PK\x01\x02"));
    std::string file = zip({{"a/data.pkl", program(weights) + inner_entry}, {"a/data/0", "1234"}});
    file = patched(file, "PK\x01\x02", 42, le(static_cast<std::uint32_t>(file.find(inner_entry))));
    EXPECT_THAT(refusal(file), HasSubstr("overlap"));
}

} // namespace
