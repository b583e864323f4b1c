// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/plan_cache.hpp"

#include "base/files.hpp"
#include "tests/data/test_folder.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

namespace fs = std::filesystem;

constexpr const char* machine = "NVIDIA H200, 9.0, driver 13000, cuDNN 9.19.0";
constexpr const char* problem = "forward 32x64x56x56 to 64 by 3x3, stride 1, padding 1, bf16";

class cuda_plan_cache : public ::testing::Test {
  protected:
    [[nodiscard]] plan_cache open(const std::string& surroundings = machine) {
        return {folder_.path() / "plans", surroundings,
                [this](const std::string& warning) { warnings_.push_back(warning); }};
    }
    [[nodiscard]] std::vector<fs::path> files() const {
        std::vector<fs::path> found;
        for (const auto& entry : fs::directory_iterator(folder_.path() / "plans"))
            found.push_back(entry.path());
        return found;
    }
    [[nodiscard]] static std::string text_of(const fs::path& file) {
        const auto bytes = read_file(file, 10000);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    test::temporary_folder folder_;
    std::vector<std::string> warnings_;
};

TEST_F(cuda_plan_cache, remembers_from_run_to_run) {
    EXPECT_EQ(open().find(problem), std::nullopt);
    EXPECT_EQ(open().remember(problem, "eng62_k2=5"), "eng62_k2=5");
    EXPECT_EQ(open().find(problem), "eng62_k2=5");
    EXPECT_EQ(open().find("another problem"), std::nullopt);
    EXPECT_EQ(files().size(), 1U) << "no temporary file stays";
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(cuda_plan_cache, other_surroundings_have_other_plans) {
    EXPECT_EQ(open().remember(problem, "eng62"), "eng62");
    EXPECT_EQ(open("NVIDIA H200, 9.0, driver 13010, cuDNN 9.19.0").find(problem), std::nullopt);
    EXPECT_EQ(open("NVIDIA A100").remember(problem, "eng10"), "eng10");
    EXPECT_EQ(open().find(problem), "eng62");
    EXPECT_EQ(files().size(), 2U);
}

TEST_F(cuda_plan_cache, the_first_of_several_processes_decides) {
    plan_cache first = open(), second = open();
    EXPECT_EQ(first.find(problem), std::nullopt);
    EXPECT_EQ(second.find(problem), std::nullopt);
    EXPECT_EQ(second.remember(problem, "eng2"), "eng2");
    EXPECT_EQ(first.remember(problem, "eng1"), "eng2");
    EXPECT_EQ(files().size(), 1U);
}

TEST_F(cuda_plan_cache, forgets_on_request) {
    plan_cache cache = open();
    EXPECT_EQ(cache.remember(problem, "eng62"), "eng62");
    cache.forget(problem);
    EXPECT_EQ(cache.find(problem), std::nullopt);
    EXPECT_EQ(cache.remember(problem, "eng1"), "eng1");
}

TEST_F(cuda_plan_cache, a_spoilt_file_counts_as_absent_and_is_replaced) {
    ASSERT_EQ(open().remember(problem, "eng62_k2=5"), "eng62_k2=5");
    ASSERT_EQ(files().size(), 1U);
    const fs::path file = files().front();
    const std::string good = text_of(file);
    const auto replaced = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        return text.replace(text.find(from), from.size(), to);
    };
    const std::vector<std::string> spoilt{
        "",
        "\n\n\n\n\n",
        good.substr(0, good.size() / 2),
        good.substr(0, good.size() - 1),
        good + "x",
        replaced("k2=5", "k2=4"),
        replaced("k2=5", "k2\n5"),
        replaced("format 1", "format 2"),
        replaced("eng62_k2=5", ""),
        std::string(std::size_t{1} << 20, 'x'),
        std::string(good.size(), '\0'),
    };
    for (const std::string& text : spoilt) {
        SCOPED_TRACE(text.substr(0, 300));
        write_file_atomically(file, text);
        EXPECT_EQ(open().find(problem), std::nullopt);
        EXPECT_EQ(open().remember(problem, "eng62_k2=5"), "eng62_k2=5");
        EXPECT_EQ(text_of(file), good);
    }
    EXPECT_EQ(files().size(), 1U);
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(cuda_plan_cache, a_folder_in_the_files_place_is_reported_once) {
    ASSERT_EQ(open().remember(problem, "eng62"), "eng62");
    const fs::path file = files().front();
    fs::remove(file);
    fs::create_directory(file);
    plan_cache cache = open();
    EXPECT_EQ(cache.find(problem), std::nullopt);
    EXPECT_EQ(cache.remember(problem, "eng62"), std::nullopt);
    EXPECT_EQ(cache.remember(problem, "eng62"), std::nullopt);
    EXPECT_FALSE(cache.can_remember());
    EXPECT_EQ(warnings_.size(), 1U);
    EXPECT_EQ(files().size(), 1U);
}

TEST_F(cuda_plan_cache, a_folder_that_cannot_be_made_is_reported_once) {
    folder_.write("plans", "not a folder");
    plan_cache cache = open();
    EXPECT_FALSE(cache.can_remember());
    EXPECT_EQ(cache.find(problem), std::nullopt);
    EXPECT_EQ(cache.remember(problem, "eng62"), std::nullopt);
    cache.forget(problem);
    ASSERT_EQ(warnings_.size(), 1U);
    EXPECT_NE(warnings_.front().find((folder_.path() / "plans").string()), std::string::npos)
        << warnings_.front();
}

TEST_F(cuda_plan_cache, without_a_folder_nothing_is_remembered_and_nobody_warned) {
    plan_cache cache({}, machine, [this](const std::string& warning) { warnings_.push_back(warning); });
    EXPECT_FALSE(cache.can_remember());
    EXPECT_EQ(cache.remember(problem, "eng62"), std::nullopt);
    EXPECT_EQ(cache.find(problem), std::nullopt);
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(cuda_plan_cache, any_text_may_name_a_device) {
    const std::string odd = "Gr\xc3\xa4phics\nprocessor\t9";
    EXPECT_EQ(open(odd).remember(problem, "eng62"), "eng62");
    EXPECT_EQ(open(odd).find(problem), "eng62");
}

} // namespace
} // namespace petnet::kernels::cuda
