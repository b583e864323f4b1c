// SPDX-License-Identifier: Apache-2.0
#include "torch_builder.hpp"

#include <zstd.h>

using namespace petnet;
using namespace petnet::model;
using namespace petnet::model::testing;
using ::testing::HasSubstr;

namespace {

std::string compressed(const std::string& content, bool with_content_size = true) {
    std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, with_content_size ? 1 : 0);
    std::string result(ZSTD_compressBound(content.size()), '\0');
    result.resize(
        ZSTD_compress2(context.get(), result.data(), result.size(), content.data(), content.size()));
    return result;
}

std::string tensor_file(std::size_t elements) {
    return safetensors(R"({"a":{"dtype":"U8","shape":[)" + std::to_string(elements) +
                           R"(],"data_offsets":[0,)" + std::to_string(elements) + "]}}",
                       std::string(elements, '\x05'));
}

TEST(zstd, every_format_is_read) {
    using namespace pickled;
    const std::string value = dictionary({{"a", tensor(storage(2), 0, integers({2}), integers({1}))}});
    for (const std::string& plain : {torch_zip(value, floats({5, 5})), torch_legacy(value, floats({5, 5}), 2),
                                     tensor_file(300'000), tensor_file(2)})
        for (bool with_content_size : {true, false}) {
            const weight_file file = read(compressed(plain, with_content_size));
            ASSERT_NE(file.find("a"), nullptr);
            for (float element : file.find("a")->to_float32()) ASSERT_EQ(element, 5.0f);
        }
}

TEST(zstd, several_frames_are_one_content) {
    const std::string plain = tensor_file(100'000);
    const std::string skippable = "\x50\x2a\x4d\x18" + le<std::uint32_t>(3) + "abc";
    const weight_file file = read(compressed(plain.substr(0, 50)) + skippable + compressed(plain.substr(50)));
    EXPECT_EQ(file.find("a")->element_count(), 100'000u);
}

TEST(zstd, cut_or_changed_is_refused) {
    const std::string whole = compressed(tensor_file(300'000));
    for (std::size_t size = 4; size < whole.size(); ++size)
        EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
    EXPECT_THAT(refusal(whole + "x"), HasSubstr("zstd"));
}

TEST(zstd, content_that_is_no_weight_file_is_refused_after_its_first_bytes) {
    const std::string bomb = compressed(std::string(300u << 20, '\0'));
    ASSERT_LT(bomb.size(), 100'000u);
    EXPECT_THAT(refusal(bomb), HasSubstr("zstd data whose content is not a weight file"));
    EXPECT_THAT(refusal(compressed(compressed(tensor_file(2)))), HasSubstr("not a weight file"));
    EXPECT_THAT(refusal(compressed("")), HasSubstr("it is empty"));
}

TEST(zstd, no_more_is_decompressed_than_the_header_describes) {
    const std::string plain = tensor_file(100'000);
    EXPECT_THAT(refusal(compressed(plain + std::string(300u << 20, '\0'))),
                HasSubstr("holds more than the " + std::to_string(plain.size()) + " bytes"));
    EXPECT_THAT(refusal(compressed(tensor_file(2) + "x")), HasSubstr("3 follow"));
}

TEST(zstd, a_bomb_behind_a_zip_signature_is_refused) {
    const std::string bomb = compressed("PK\x03\x04" + std::string(300u << 20, '\0'));
    EXPECT_THAT(refusal(bomb), HasSubstr("holds more than"));
}

} // namespace
