// SPDX-License-Identifier: Apache-2.0
// A folder for a test with photographs in it, and the shortest training that can be made of them.
#pragma once

#include "tests/app/program.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::testing {

namespace fs = std::filesystem;

// A folder that goes with the test, in the file system of temporary files.
class work_folder : public ::testing::Test {
  protected:
    work_folder() {
        std::string name = (fs::temp_directory_path() / "petnet_test_XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
        folder_ = name;
        fs::permissions(folder_, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec |
                                     fs::perms::group_read | fs::perms::others_read);
    }
    ~work_folder() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

    // So many epochs, in which the head learns alone: a third of the time of others.
    static arguments frozen(int epochs = 1) {
        return {"--epochs", "0", "--freeze-epochs", std::to_string(epochs)};
    }

    [[nodiscard]] const fs::path& folder() const { return folder_; }
    [[nodiscard]] std::string at(const std::string& name) const { return (folder_ / name).string(); }

    fs::path write(const std::string& name, std::string_view content) const {
        fs::create_directories((folder_ / name).parent_path());
        std::ofstream(folder_ / name, std::ios::binary) << content;
        return folder_ / name;
    }

    // Links to `count` photographs of the sample, spread over it; the folder's name.
    std::string photographs(const std::string& name, std::size_t count = 20) const {
        std::vector<fs::path> all;
        for (const fs::directory_entry& entry :
             fs::directory_iterator(fs::path(PETNET_SAMPLE_DIR) / "images"))
            all.push_back(entry.path());
        std::sort(all.begin(), all.end());
        fs::create_directories(folder_ / name);
        for (std::size_t i = 0; i < count; ++i) {
            const fs::path& photo = all[i * all.size() / count];
            fs::create_symlink(photo, folder_ / name / photo.filename());
        }
        return at(name);
    }

    // `train` on `data` into `output`, two epochs of four steps with 20 photographs, of two with 10; `more`
    // replaces what it repeats. From the embedded weights, which are read in less time than random ones are
    // drawn. Half of that time with `frozen`, an eighth of it to the first step.
    [[nodiscard]] arguments training(const std::string& data, const std::string& output,
                                     const arguments& more = {}) const {
        arguments words{"train", "--data", data, "--output", at(output)};
        const std::vector<std::pair<std::string, std::string>> defaults{
            {"--weights", "embedded"}, {"--size", "32"}, {"--batch-size", "4"}, {"--precision", "fp32"}};
        for (const auto& [option, value] : defaults)
            if (std::find(more.begin(), more.end(), option) == more.end())
                words.insert(words.end(), {option, value});
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }

    // A training until its first step is logged: for what it says, and does to folders, before that.
    outcome run_to_first_step(const arguments& words, const std::string& output,
                              const surroundings& where = {}) const {
        const std::string earlier = content_of(folder_ / output / "metrics.jsonl"); // still there at first
        return run_until(
            [&] {
                const std::string now = content_of(folder_ / output / "metrics.jsonl");
                return now != earlier && now.find('\n') != std::string::npos;
            },
            words, where);
    }

    [[nodiscard]] std::string model_of(const std::string& output) const {
        return content_of(folder_ / output / "model.safetensors");
    }
    [[nodiscard]] nlohmann::json record_of(const std::string& output) const {
        return nlohmann::json::parse(content_of(folder_ / output / "run.json"));
    }
    [[nodiscard]] std::vector<nlohmann::json> metrics_of(const std::string& output) const {
        std::vector<nlohmann::json> objects;
        for (const std::string& line : lines_of(content_of(folder_ / output / "metrics.jsonl")))
            objects.push_back(nlohmann::json::parse(line));
        return objects;
    }

    // Every step and epoch once and in order, with the same numbers.
    void expect_same_run(const std::string& output, const std::string& expected) const {
        EXPECT_TRUE(model_of(output) == model_of(expected)) << "another model";
        EXPECT_FALSE(model_of(expected).empty());
        const std::vector<nlohmann::json> actual_log = metrics_of(output),
                                          expected_log = metrics_of(expected);
        ASSERT_EQ(actual_log.size(), expected_log.size());
        for (std::size_t i = 0; i < actual_log.size(); ++i)
            for (const char* key :
                 {"step", "epoch", "phase", "loss", "lr", "mom", "train_loss", "valid_loss", "error_rate"})
                EXPECT_EQ(actual_log[i].value(key, nlohmann::json()),
                          expected_log[i].value(key, nlohmann::json()))
                    << key << " in line " << i + 1;
    }

    [[nodiscard]] std::vector<std::string> temporaries() const {
        std::vector<std::string> found;
        for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder()))
            if (entry.path().string().find(".tmp") != std::string::npos) found.push_back(entry.path());
        return found;
    }

  private:
    fs::path folder_;
};

} // namespace petnet::testing
