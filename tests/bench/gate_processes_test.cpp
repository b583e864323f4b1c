// SPDX-License-Identifier: Apache-2.0
// `petnet-bench gate` end to end: the real program runs other processes, which stand for two builds. They are
// scripts that answer as petnet-bench does, at once, with times of a clock that is made up.
#include "bench/process.hpp"
#include "tests/data/test_folder.hpp"

#include <algorithm>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace petnet::bench;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

class gate_processes : public ::testing::Test {
  protected:
    // A program whose case `slowed` takes `factor` times what it takes elsewhere; each run's times vary by
    // 0.5 %. Its command lines are kept in NAME.runs.
    std::string make_bench(const std::string& name, const std::string& cases = "a/conv b/pool.x",
                           const std::string& slowed = "", double factor = 1) {
        return write_script(name, R"sh(
cases=')sh" + cases + R"sh(' slowed=')sh" +
                                      slowed + R"sh(' factor=)sh" + std::to_string(factor) + R"sh(
echo "$*" >>"$0.runs"
while (($#)); do
  case $1 in
    --json) file=$2 && shift 2 ;;
    *) shift ;;
  esac
done
awk -v cases="$cases" -v slowed="$slowed" -v factor="$factor" -v seed="$(wc -l <"$0.runs")" -v name="$0" 'BEGIN {
  srand(seed * 1000 + length(name))
  printf "{\"version\": \"%s\", \"timer_seconds\": 5e-8, \"cases\": [", name
  count = split(cases, each, " ")
  for (i = 1; i <= count; ++i) {
    noise = 1 + 0.005 * (rand() + rand() + rand() - 1.5)
    printf "%s{\"name\": \"%s\"", (i > 1 ? ", " : ""), each[i]
    printf ", \"hot\": {\"median\": %.9f}", 0.001 * i * (each[i] == slowed ? factor : 1) * noise
    printf ", \"cold\": {\"median\": %.9f}}", 0.002 * i * noise
  }
  print "]}"
}' >"$file"
)sh");
    }

    std::string write_script(const std::string& name, const std::string& text) {
        const std::filesystem::path file = folder_.write(name, "#!/usr/bin/env bash\nset -eu" + text);
        std::filesystem::permissions(file, std::filesystem::perms::owner_all);
        return file.string();
    }

    static process_result gate(std::vector<std::string> words) {
        words.insert(words.begin(), {PETNET_BENCH, "gate"});
        return run_process(words);
    }

    [[nodiscard]] std::vector<std::string> runs_of(const std::string& name) const {
        std::vector<std::string> lines;
        std::ifstream from(folder_.path() / (name + ".runs"));
        for (std::string line; std::getline(from, line);) lines.push_back(line);
        return lines;
    }

    petnet::test::temporary_folder folder_;
};

TEST_F(gate_processes, pass_where_nothing_changed) {
    const process_result result = gate({make_bench("base"), make_bench("head")});
    EXPECT_EQ(result.status, 0) << result.output;
    EXPECT_THAT(result.output, HasSubstr("4 SAME, 0 FASTER, 0 SLOWER, 0 UNCLEAR, 0 vanished, 0 new: passed"));
    EXPECT_EQ(runs_of("base").size(), 10U);
    EXPECT_EQ(runs_of("head").size(), 5U);
}

TEST_F(gate_processes, fail_where_one_case_is_five_per_cent_slower) {
    const process_result result =
        gate({make_bench("base"), make_bench("head", "a/conv b/pool.x", "b/pool.x", 1.05), "--json",
              (folder_.path() / "gate.json").string()});
    EXPECT_EQ(result.status, 1) << result.output;
    EXPECT_THAT(result.output, HasSubstr("b/pool.x/hot"));
    EXPECT_THAT(result.output, HasSubstr("3 SAME, 0 FASTER, 1 SLOWER, 0 UNCLEAR, 0 vanished, 0 new: FAILED"));
    // The second round runs that case alone.
    const std::vector<std::string> runs = runs_of("head");
    ASSERT_EQ(runs.size(), 10U);
    EXPECT_THAT(runs.front(), Not(HasSubstr("--filter")));
    EXPECT_THAT(runs.back(), HasSubstr(R"(--filter ^(b/pool\.x)$)"));

    const auto record = nlohmann::json::parse(std::ifstream(folder_.path() / "gate.json"));
    EXPECT_FALSE(record.at("passed").get<bool>());
    EXPECT_EQ(record.at("cases").size(), 4U);
    const auto& slower = record.at("cases").at(2);
    EXPECT_EQ(slower.at("name"), "b/pool.x/hot");
    EXPECT_EQ(slower.at("verdict"), "SLOWER");
    EXPECT_NEAR(slower.at("change").get<double>(), 0.05, 0.01);
    EXPECT_EQ(slower.at("base").size(), 5U);
}

TEST_F(gate_processes, fail_where_a_case_vanished) {
    const process_result result = gate({make_bench("base"), make_bench("head", "a/conv")});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.output, HasSubstr("VANISHED b/pool.x/hot"));
    EXPECT_THAT(result.output, HasSubstr("2 vanished, 0 new: FAILED"));
}

TEST_F(gate_processes, fail_where_the_base_is_broken) {
    const std::string broken = write_script("base", "\nexit 3\n");
    const process_result result = gate({broken, make_bench("head")});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.output, HasSubstr("the base (" + broken + ") is broken: it ended with status 3"));
}

TEST_F(gate_processes, fail_where_the_head_writes_no_json) {
    EXPECT_THAT(gate({make_bench("base"), write_script("head", "\nexit 0\n")}).output,
                HasSubstr("head) is broken:"));
    const std::string half =
        write_script("head", "\nfor f; do :; done\n[[ $2 ]] && echo '{\"cases\": [' >\"$2\"\n");
    const process_result result = gate({make_bench("base"), half});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.output, HasSubstr("its JSON is not as expected"));
}

TEST_F(gate_processes, take_build_folders_and_pass_options_on) {
    make_bench("build/bench/petnet-bench");
    const process_result result = gate({(folder_.path() / "build").string(), make_bench("head"), "--filter",
                                        "conv|pool", "--with=--device=cpu", "--with=--threads=2"});
    EXPECT_EQ(result.status, 0) << result.output;
    EXPECT_THAT(runs_of("head").front(), HasSubstr("--filter conv|pool --quick --device=cpu --threads=2"));
}

TEST_F(gate_processes, refuse_what_is_no_program) {
    EXPECT_EQ(gate({(folder_.path() / "nothing").string(), make_bench("head")}).status, 2);
    EXPECT_EQ(gate({make_bench("base"), make_bench("head"), "--pairs", "4"}).status, 2);
}

} // namespace
