// SPDX-License-Identifier: Apache-2.0
#include "weight_test_support.hpp"

#include "base/files.hpp"

#include <algorithm>
#include <list>
#include <random>

using namespace petnet;
using namespace petnet::model;
using namespace petnet::model::testing;
using ::testing::HasSubstr;

namespace {

// A header with one tensor `a` of the given dtype, shape and offsets.
std::string one_tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

TEST(safetensors, reads_a_tensor) {
    const std::string file = safetensors(one_tensor("\"F32\"", "[2,1]", "[0,8]"), floats({1.5f, -2.0f}));
    const weight_file read_back = read(file);
    ASSERT_EQ(read_back.tensors.size(), 1u);
    EXPECT_EQ(read_back.tensors[0].name, "a");
    EXPECT_EQ(read_back.tensors[0].shape, (std::vector<std::int64_t>{2, 1}));
    EXPECT_EQ(read_back.tensors[0].to_float32(), (std::vector<float>{1.5f, -2.0f}));
    EXPECT_EQ(read_back.find("b"), nullptr);
}

TEST(safetensors, reads_a_file_without_tensors) { EXPECT_TRUE(read(safetensors("{} ")).tensors.empty()); }

TEST(safetensors, keeps_the_order_of_the_header) {
    const std::string file = safetensors(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
                                         R"("a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
                                         "\x07\x09");
    const weight_file read_back = read(file);
    ASSERT_EQ(read_back.tensors.size(), 2u);
    EXPECT_EQ(read_back.tensors[0].name, "b");
    EXPECT_EQ(read_back.tensors[0].to_float32(), std::vector<float>{9.0f});
    EXPECT_EQ(read_back.tensors[1].to_float32(), std::vector<float>{7.0f});
}

struct malformed {
    const char* what;
    std::string file;
    const char* message; // part of it
};
void PrintTo(const malformed& m, std::ostream* out) { *out << m.what; }

class malformed_safetensors : public ::testing::TestWithParam<malformed> {};

TEST_P(malformed_safetensors, is_refused) {
    const std::string message = refusal(GetParam().file);
    EXPECT_THAT(message, HasSubstr(GetParam().message));
    EXPECT_EQ(message.find('\n'), std::string::npos);
}

const std::string four = floats({1});
INSTANTIATE_TEST_SUITE_P(
    headers, malformed_safetensors,
    ::testing::Values(
        malformed{"no_header", le<std::uint64_t>(2), "not a weight file"},
        malformed{"header_too_long", le<std::uint64_t>(200'000'000) + "{}", "claims 200000000 bytes"},
        malformed{"header_beyond_file", le<std::uint64_t>(3) + "{}", "claims 3 bytes, but only 2 follow"},
        malformed{"array", safetensors("[]"), "a list"}, malformed{"number", safetensors("12"), "a number"},
        malformed{"trailing_json", safetensors("{}{}"), "not JSON"},
        malformed{"bad_utf8", safetensors("{\"\xff\":{}}"), "not JSON"},
        malformed{"tensor_is_null", safetensors(R"({"a":null})"), "null"},
        malformed{"tensor_is_list", safetensors(R"({"a":[]})"), "a list"},
        malformed{"tensor_is_string", safetensors(R"({"a":"F32"})"), "a string"},
        malformed{"lacks_everything", safetensors(R"({"a":{}})"), "lacks its dtype"},
        malformed{"lacks_offsets", safetensors(R"({"a":{"dtype":"F32","shape":[1]}})", four),
                  "lacks its dtype"},
        malformed{"one_offset", safetensors(one_tensor("\"F32\"", "[1]", "[0]"), four), "lacks its dtype"},
        malformed{"three_offsets", safetensors(one_tensor("\"F32\"", "[1]", "[0,4,4]"), four),
                  "too many numbers"},
        malformed{"object_inside", safetensors(R"({"a":{"dtype":{}}})"), "an object"},
        malformed{"list_in_shape", safetensors(one_tensor("\"F32\"", "[[1]]", "[0,4]"), four), "a list"},
        malformed{"object_in_shape", safetensors(one_tensor("\"F32\"", "[{}]", "[0,4]"), four), "an object"},
        malformed{"fraction_in_shape", safetensors(one_tensor("\"F32\"", "[1.0]", "[0,4]"), four),
                  "a fraction"},
        malformed{"string_in_shape", safetensors(one_tensor("\"F32\"", "[\"1\"]", "[0,4]"), four),
                  "a string"},
        malformed{"bool_in_shape", safetensors(one_tensor("\"F32\"", "[true]", "[0,4]"), four),
                  "true or false"},
        malformed{"negative_shape", safetensors(one_tensor("\"F32\"", "[-1]", "[0,4]"), four), "negative"},
        malformed{"huge_dimension",
                  safetensors(one_tensor("\"F32\"", "[18446744073709551615]", "[0,4]"), four), "too large"},
        malformed{"overflow_after_zero",
                  safetensors(one_tensor("\"F32\"", "[0,4611686018427387904,4611686018427387904]", "[0,0]")),
                  "too large"},
        malformed{"overflow_beside_zero",
                  safetensors(one_tensor("\"F32\"", "[4611686018427387904,4611686018427387904,0]", "[0,0]")),
                  "too large"},
        malformed{
            "rank_33",
            safetensors(one_tensor("\"F32\"",
                                   "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
                                   "[0,4]"),
                        four),
            "too many numbers"},
        malformed{"shape_is_number", safetensors(one_tensor("\"F32\"", "1", "[0,4]"), four), "a number"},
        malformed{"unknown_dtype", safetensors(one_tensor("\"F8_E4M3\"", "[4]", "[0,4]"), four), "'F8_E4M3'"},
        malformed{"dtype_is_number", safetensors(one_tensor("1", "[1]", "[0,4]"), four), "a number"},
        malformed{"unknown_member", safetensors(R"({"a":{"dtype":"F32","stride":[1]}})"),
                  "unknown entry 'stride'"},
        malformed{"dtype_twice", safetensors(R"({"a":{"dtype":"F32","dtype":"F16"}})"),
                  "dtype is there twice"},
        malformed{"name_twice",
                  safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                              R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                              "xx"),
                  "'a' is there twice"},
        malformed{"reversed_offsets", safetensors(one_tensor("\"F32\"", "[1]", "[4,0]"), four),
                  "needs 4 bytes"},
        malformed{"more_bytes_than_needed", safetensors(one_tensor("\"F32\"", "[1]", "[0,8]"), four + four),
                  "needs 4 bytes"},
        malformed{"overlap",
                  safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                              R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                              "123456"),
                  "starts at byte 2"},
        malformed{"hole_before", safetensors(one_tensor("\"F32\"", "[1]", "[4,8]"), four + four),
                  "starts at byte 4"},
        malformed{"data_left_over", safetensors(one_tensor("\"F32\"", "[1]", "[0,4]"), four + "x"),
                  "5 follow"},
        malformed{"data_missing", safetensors(one_tensor("\"F32\"", "[1]", "[0,4]"), "xyz"), "3 follow"},
        malformed{"metadata_number", safetensors(R"({"__metadata__":{"a":1}})"), "only strings"},
        malformed{"metadata_object", safetensors(R"({"__metadata__":{"a":{}}})"), "only strings"},
        malformed{"metadata_list", safetensors(R"({"__metadata__":[]})"), "a list"},
        malformed{"metadata_twice", safetensors(R"({"__metadata__":{},"__metadata__":{}})"), "twice"},
        malformed{"metadata_key_twice", safetensors(R"({"__metadata__":{"a":"","a":""}})"), "twice"}),
    [](const auto& instance) { return instance.param.what; });

TEST(safetensors, too_many_tensors) {
    std::string header = "{";
    for (int i = 0; i <= 100'000; ++i)
        header += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
    header.back() = '}';
    EXPECT_THAT(refusal(safetensors(header)), HasSubstr("more than 100000 tensors"));
}

TEST(weight_files, what_is_no_weight_file_is_described) {
    const std::pair<std::string, const char*> cases[] = {
        {"", "it is empty"},
        {"\n <!doctype HTML><html></html>", "HTML page"},
        {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
        {"\x1f\x8b\x08 etc. etc.", "gzip"},
        {std::string(257, 'x') + "ustar", "tar archive"},
        {"\xff\xd8\xff\xe0 JFIF etc.", "JPEG"},
        {"{\"error\": \"not found\"}", "JSON"},
        {"a\nb\x01\x02\x03 etc.", "begins with 'a?b??"},
    };
    for (const auto& [content, description] : cases) {
        EXPECT_THAT(refusal(content), HasSubstr(description));
        EXPECT_THAT(refusal(content), HasSubstr("expected safetensors or a torch .pth"));
        EXPECT_THAT(refusal(content), ::testing::StartsWith("weights: not a weight file"));
    }
}

class safetensors_writer : public ::testing::Test {
  protected:
    // One tensor of each dtype and several shapes, random bytes.
    std::vector<weight_tensor> all_dtypes() {
        std::mt19937 random(1);
        std::vector<weight_tensor> tensors;
        const std::vector<std::vector<std::int64_t>> shapes = {{3}, {}, {2, 3}, {0, 4}, {5, 1, 1}};
        for (int d = 0; d <= static_cast<int>(weight_dtype::boolean); ++d)
            for (std::size_t s = 0; s < shapes.size(); ++s) {
                weight_tensor tensor{"t" + std::to_string(d) + "." + std::to_string(s),
                                     static_cast<weight_dtype>(d),
                                     shapes[s],
                                     {},
                                     nullptr};
                std::size_t size = element_size(tensor.dtype);
                for (std::int64_t n : tensor.shape) size *= static_cast<std::size_t>(n);
                std::string& bytes = contents_.emplace_back(size, '\0');
                for (char& byte : bytes) byte = static_cast<char>(random());
                tensor.bytes = as_bytes(bytes);
                tensors.push_back(std::move(tensor));
            }
        return tensors;
    }
    std::string file_content(const char* name) {
        const auto bytes = read_file(folder_ / name, 1 << 20);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    temporary_folder folder_;
    std::list<std::string> contents_;
};

TEST_F(safetensors_writer, round_trip) {
    const auto tensors = all_dtypes();
    const std::map<std::string, std::string> metadata = {{"classes", "[\"cat\",\"dog\"]"},
                                                         {"\u00e9", "\n\""}};
    write_safetensors(folder_ / "a.safetensors", tensors, metadata);
    const weight_file back = read_weight_file(folder_ / "a.safetensors");
    EXPECT_EQ(back.metadata, metadata);
    ASSERT_EQ(back.tensors.size(), tensors.size());
    for (const weight_tensor& tensor : tensors) {
        const weight_tensor* found = back.find(tensor.name);
        ASSERT_NE(found, nullptr) << tensor.name;
        EXPECT_EQ(found->dtype, tensor.dtype);
        EXPECT_EQ(found->shape, tensor.shape);
        EXPECT_TRUE(std::ranges::equal(found->bytes, tensor.bytes)) << tensor.name;
    }
}

TEST_F(safetensors_writer, same_bytes_whatever_the_order) {
    auto tensors = all_dtypes();
    write_safetensors(folder_ / "a.safetensors", tensors);
    std::reverse(tensors.begin(), tensors.end());
    write_safetensors(folder_ / "b.safetensors", tensors);
    EXPECT_EQ(file_content("a.safetensors"), file_content("b.safetensors"));
}

TEST_F(safetensors_writer, every_tensor_is_aligned_to_its_element) {
    write_safetensors(folder_ / "a.safetensors", all_dtypes());
    const std::string content = file_content("a.safetensors");
    for (const weight_tensor& tensor : read_weight_bytes(as_bytes(content), "weights").tensors) {
        const auto offset = tensor.bytes.data() - as_bytes(content).data();
        EXPECT_EQ(static_cast<std::size_t>(offset) % element_size(tensor.dtype), 0u) << tensor.name;
    }
}

TEST_F(safetensors_writer, known_bytes) {
    const std::vector<float> values = {1.0f};
    const weight_tensor tensor = float32_tensor("w", {1}, values);
    write_safetensors(folder_ / "a.safetensors", std::span(&tensor, 1), {{"k", "v"}});
    const std::string header =
        R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    EXPECT_EQ(file_content("a.safetensors"),
              safetensors(header + std::string((8 - header.size() % 8) % 8, ' '), four));
}

TEST_F(safetensors_writer, wrong_use_is_reported_and_nothing_is_written) {
    const std::vector<float> values = {1, 2};
    const weight_tensor good = float32_tensor("w", {2}, values);
    weight_tensor reserved = good, not_utf8 = good, short_bytes = good;
    reserved.name = "__metadata__";
    not_utf8.name = "\xff";
    short_bytes.bytes = short_bytes.bytes.first(4);
    for (const std::vector<weight_tensor>& wrong :
         {std::vector{good, good}, std::vector{reserved}, std::vector{not_utf8}, std::vector{short_bytes}})
        EXPECT_THROW(write_safetensors(folder_ / "a.safetensors", wrong), std::invalid_argument);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "a.safetensors"));
    EXPECT_THROW(write_safetensors(folder_ / "none/a.safetensors", std::span(&good, 1)), environment_error);
}

} // namespace
