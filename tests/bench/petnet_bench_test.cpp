// SPDX-License-Identifier: Apache-2.0
// The program petnet-bench, at sizes that take no time.
#include "bench/process.hpp"
#include "kernels/backend.hpp"
#include "tests/data/test_folder.hpp"

#include <algorithm>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

using namespace petnet;
using namespace petnet::bench;
using ::testing::HasSubstr;

namespace {

process_result run_bench(std::vector<std::string> words) {
    words.insert(words.begin(), PETNET_BENCH);
    return run_process(words);
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream from(text);
    for (std::string line; std::getline(from, line);) lines.push_back(line);
    return lines;
}

std::string device() {
    return std::ranges::any_of(kernels::list_backends(),
                               [](const auto& each) { return each.name == "cpu" && each.available; })
               ? "cpu"
               : "reference";
}

template <std::size_t... Index> std::vector<std::string> operation_names(std::index_sequence<Index...>) {
    return {std::string(kernels::name_of(std::variant_alternative_t<Index, kernels::operation_params>{}))...};
}

// fp16: the loss scale is an operation of its own.
TEST(petnet_bench, has_every_operation_and_step) {
    const process_result list =
        run_bench({"--list", "--device", "reference", "--dtype", "fp16", "--threads", "1"});
    ASSERT_EQ(list.status, 0);
    const std::vector<std::string> names = lines_of(list.output);
    for (const std::string& name :
         operation_names(std::make_index_sequence<std::variant_size_v<kernels::operation_params>>{}))
        EXPECT_THAT(list.output, HasSubstr(name + '/'));
    for (const char* name : {"harness/nothing", "step/unfrozen/fp16/b32/t1", "step/frozen/",
                             "step/evaluation/", "step/augmented/", "step/resident/", "photo/path/224",
                             "checkpoint/write", "convolution_forward/layer2.0.downsample.0/fp16/b32/t1"})
        EXPECT_THAT(list.output, HasSubstr(name));
    std::vector<std::string> sorted = names;
    std::ranges::sort(sorted);
    EXPECT_EQ(std::ranges::adjacent_find(sorted), sorted.end()) << "two cases of one name";
}

// What takes less than the clock can tell must not end it.
TEST(petnet_bench, is_gated_against_itself) {
    if (run_bench({"--filter", "harness", "--quick"}).status == 4)
        GTEST_SKIP() << "petnet-bench was built without google-benchmark";
    const process_result result =
        run_bench({"gate", PETNET_BENCH, PETNET_BENCH, "--filter", "harness|photo/resize"});
    EXPECT_THAT(result.output, HasSubstr("0 vanished")); // whether it is the SAME is the machine's affair
    EXPECT_THAT(result.output, testing::Not(HasSubstr("harness")));
}

TEST(petnet_bench, verifies_times_and_records) {
    const test::temporary_folder folder;
    const std::string file = (folder.path() / "result.json").string();
    const process_result result = run_bench({"--device", device(), "--dtype", "fp32", "--threads", "1",
                                             "--quick", "--batch", "2", "--size", "32", "--json", file,
                                             "--filter", "linear|layer4.0.conv1|step/unfrozen|photo/resize"});
    if (result.status == 4) GTEST_SKIP() << "petnet-bench was built without google-benchmark";
    ASSERT_EQ(result.status, 0) << result.output;
    for (const std::string& line : lines_of(result.output)) EXPECT_LE(line.size(), 80U) << line;

    const auto record = nlohmann::json::parse(std::ifstream(file));
    for (const char* key : {"version", "date", "command", "device", "machine", "timer_seconds"})
        EXPECT_TRUE(record.contains(key)) << key;
    EXPECT_GT(record.at("peaks").at(0).at("copy_gb_per_s").get<double>(), 0.1);
    EXPECT_GE(record.at("cases").size(), 8U);
    for (const auto& each : record.at("cases")) {
        SCOPED_TRACE(each.at("name").get<std::string>());
        const bool operation = each.contains("cold");
        EXPECT_EQ(each.at("verified").get<bool>(), operation);
        EXPECT_EQ(each.at("hot").at("samples").size(), operation || each.at("group") == "photo" ? 5U : 3U);
        EXPECT_GT(each.at("hot").at("median").get<double>(), 0);
    }
}

TEST(petnet_bench, says_what_is_wrong_with_its_options) {
    EXPECT_EQ(run_bench({"--filter", "no such case", "--device", "reference"}).status, 2);
    EXPECT_EQ(run_bench({"--filter", "(", "--device", "reference"}).status, 2);
    EXPECT_EQ(run_bench({"--dtype", "fp8", "--device", "reference"}).status, 2);
    EXPECT_EQ(run_bench({"--device", "check:cpu,reference"}).status, 2);
    EXPECT_EQ(run_bench({"--batch", "1", "--device", "reference"}).status, 2);
    EXPECT_EQ(run_bench({"--quickly"}).status, 2);
}

} // namespace
