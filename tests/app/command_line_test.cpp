// SPDX-License-Identifier: Apache-2.0
// The command line: what is misspelt, where settings come from, and the commands that only answer.
#include "tests/app/folders.hpp"

#include <regex>

using namespace petnet::testing;

namespace {

class command_line : public work_folder {
  protected:
    // What a run records of its options when it begins.
    nlohmann::json options_of(const arguments& more, const surroundings& where = {}) {
        const std::string output = "o" + std::to_string(count_++);
        if (data_.empty()) data_ = photographs("d", 8);
        arguments words{"train",    "--data",   data_, "--output", at(output), "--weights",
                        "embedded", "--epochs", "0",   "--device", "cpu"};
        words.insert(words.end(), more.begin(), more.end());
        run_until([&] { return fs::exists(at(output + "/run.json")); }, words, where);
        return fs::exists(at(output + "/run.json")) ? record_of(output).at("options") : nlohmann::json();
    }

  private:
    std::string data_;
    int count_ = 0;
};

TEST_F(command_line, misspelt_options_get_the_nearest) {
    EXPECT_TRUE(refused(run({"train", "--epoch", "3"}), 2, {"--epoch", "did you mean --epochs?"}));
    EXPECT_TRUE(
        refused(run({"train", "--bacth-size", "4"}), 2, {"--bacth-size", "did you mean --batch-size?"}));
    EXPECT_TRUE(refused(run({"train", "--bacth-size=4"}), 2, {"did you mean --batch-size?"}));
    EXPECT_TRUE(refused(run({"train", "--valid-lst", "x"}), 2, {"did you mean --valid-list?"}));
    const outcome far = run({"train", "--xyzzy", "4"});
    EXPECT_TRUE(refused(far, 2, {"unknown option --xyzzy"}));
    EXPECT_EQ(far.err.find("did you mean"), std::string::npos) << far.err;
    EXPECT_TRUE(refused(run({"--versoin"}), 2, {"--versoin", "did you mean --version?"}));
    EXPECT_TRUE(refused(run({"inspect", "--label", "x"}), 2, {"did you mean --labels?"}));
}

TEST_F(command_line, unknown_commands) {
    EXPECT_TRUE(refused(run({"trian"}), 2, {"unknown command \"trian\", did you mean train?"}));
    EXPECT_TRUE(refused(run({"frobnicate"}), 2, {"unknown command \"frobnicate\""}));
    EXPECT_TRUE(refused(run({"train", "extra"}), 2, {"unexpected argument \"extra\""}));
    EXPECT_TRUE(refused(run({"inspect"}), 2, {"path"}));
    EXPECT_TRUE(refused(run({"inspect", "a", "b"}), 2, {"b"}));
    EXPECT_TRUE(refused(run({"--quiet"}), 2));
}

TEST_F(command_line, bad_numbers) {
    const std::vector<std::pair<std::string, std::string>> bad{
        {"--epochs", "x"},
        {"--epochs", "1.5"},
        {"--epochs", "-1"},
        {"--epochs", "99999999999999999999"},
        {"--epochs", "9000000000000000000"},
        {"--freeze-epochs", "-2"},
        {"--lr", "fast"},
        {"--lr", "0"},
        {"--lr", "-1"},
        {"--lr", "nan"},
        {"--lr", "inf"},
        {"--batch-size", "1"},
        {"--batch-size", "0"},
        {"--batch-size", "-64"},
        {"--batch-size", "9000000000000000000"},
        {"--size", "31"},
        {"--size", "100000"},
        {"--valid-pct", "0"},
        {"--valid-pct", "1"},
        {"--valid-pct", "nan"},
        {"--seed", "-1"},
        {"--seed", "many"},
        {"--seed", "18446744073709551616"},
        {"--seed", "1.5"},
        {"--threads", "-1"},
        {"--threads", "100000000"},
        {"--max-bad-images", "nan"},
        {"--max-bad-images", "2"},
        {"--max-bad-images", "-0.1"},
        {"--recipe", "secret"},
        {"--precision", "int4"},
    };
    const std::string data = photographs("d", 8);
    for (const auto& [option, value] : bad) {
        const outcome result =
            run({"train", "--data", data, "--weights", "random", "--output", at("o"), option, value});
        EXPECT_TRUE(refused(result, 2, {option.substr(2)})) << option << ' ' << value;
        EXPECT_FALSE(fs::exists(at("o"))) << "touched although refused: " << option << ' ' << value;
    }
    EXPECT_TRUE(refused(run({"train", "--epochs", "0", "--freeze-epochs", "0"}), 2, {"nothing to train"}));
    EXPECT_TRUE(refused(run({"train", "--epochs"}), 2, {"--epochs"}));
    EXPECT_TRUE(refused(run({"train", "--lr", "200"}), 2, {"--lr", "below 100"}));
}

TEST_F(command_line, devices) {
    const std::string data = photographs("d", 8);
    EXPECT_TRUE(refused(run(training(data, "o", {"--device", "tpu"})), 2, {"tpu", "cpu"}));
    EXPECT_TRUE(refused(run(training(data, "o", {"--device", "check:cpu"})), 2, {"check:cpu"}));
    const outcome cuda = run({"doctor"});
    if (std::regex_search(cuda.out, std::regex("device cuda +not available"))) {
        EXPECT_TRUE(refused(run(training(data, "o", {"--device", "cuda"})), 4, {"cuda"}));
    }
    EXPECT_FALSE(fs::exists(at("o")));
}

TEST_F(command_line, defaults_then_environment_then_file_then_command_line) {
    const fs::path file = write("settings.toml", "batch-size = 3\nseed = 7\n");
    const surroundings set{
        .environment = {{"PETNET_BATCH_SIZE", "2"}, {"PETNET_SIZE", "32"}, {"PETNET_SEED", "5"}}};
    nlohmann::json options = options_of({"--size=32", "--batch-size", "4"});
    EXPECT_EQ(options.at("seed"), 42);
    EXPECT_EQ(options.at("freeze_epochs"), 1);
    options = options_of({}, set);
    EXPECT_EQ(options.at("batch_size"), 2);
    EXPECT_EQ(options.at("size"), 32);
    EXPECT_EQ(options.at("seed"), 5);
    options = options_of({"--config", file.string()}, set);
    EXPECT_EQ(options.at("batch_size"), 3);
    EXPECT_EQ(options.at("size"), 32);
    EXPECT_EQ(options.at("seed"), 7);
    options = options_of({"--config=" + file.string(), "--batch-size", "4"}, set);
    EXPECT_EQ(options.at("batch_size"), 4);
    EXPECT_EQ(options.at("seed"), 7);
    surroundings named = set;
    named.environment["PETNET_CONFIG"] = file.string();
    EXPECT_EQ(options_of({"--seed=1"}, named).at("batch_size"), 3);
}

TEST_F(command_line, settings_files) {
    const arguments tiny{"--size", "32", "--batch-size", "4"};
    const auto with = [&](const std::string& text, arguments more = {}) {
        more.insert(more.end(), tiny.begin(), tiny.end());
        more.insert(more.end(), {"--config", write("c.toml", text).string()});
        return more;
    };
    EXPECT_EQ(options_of(with("[train]\nseed = 9\n[serve]\nport = 1\n")).at("seed"), 9);
    EXPECT_EQ(options_of(with("labels = 'regex=^([A-Za-z])'\n")).at("labels"), "regex=^([A-Za-z])");
    EXPECT_EQ(options_of(with("valid-pct = 0.5\n")).at("valid_pct"), 0.5);
    // What the command line says replaces what excludes it in the file.
    const fs::path list = write("list.txt", "");
    const arguments chosen{"--valid-list", list.string()};
    std::string first;
    for (const fs::directory_entry& entry : fs::directory_iterator(at("d"))) first = entry.path().filename();
    write("list.txt", first + "\n");
    EXPECT_EQ(options_of(with("valid-pct = 0.5\n", chosen)).at("valid_list"), list.string());

    EXPECT_TRUE(refused(run({"train", "--config", at("none.toml")}), 3, {"none.toml"}));
    write("c.toml", "bacth-size = 3\n");
    EXPECT_TRUE(refused(run({"train", "--config", at("c.toml")}), 2,
                        {"c.toml", "bacth-size", "did you mean --batch-size?"}));
    write("c.toml", "epochs = many\n");
    EXPECT_TRUE(refused(run({"train", "--config", at("c.toml")}), 2, {"epochs"}));
    EXPECT_TRUE(refused(run({"train", "--config", at("d")}), 3, {at("d")}));
    EXPECT_TRUE(refused(run({"train"}, {.environment = {{"PETNET_EPOCHS", "x"}}}), 2, {"epochs"}));
}

TEST_F(command_line, settings_files_are_toml) {
    const arguments tiny{"--size", "32", "--batch-size", "4"};
    const auto with = [&](const std::string& text) {
        arguments all = tiny;
        all.insert(all.end(), {"--config", write("c.toml", text).string()});
        return all;
    };
    EXPECT_EQ(options_of(with(R"(labels = "regex=^([A-Z\u0061-z]).*_\\d" # breeds)")).at("labels"),
              "regex=^([A-Za-z]).*_\\d");
    EXPECT_EQ(options_of(with("\xef\xbb\xbfseed = 11\r\n")).at("seed"), 11);
    EXPECT_EQ(options_of(with("train.seed = 12 # twelve\n")).at("seed"), 12);
    const std::vector<std::tuple<std::string, int, std::string>> bad{
        {"\x7f"
         "ELF\x02\x01\x01" +
             std::string(9, '\0'),
         3, "is no text"},
        {"help = true\n", 2, "unknown setting help"},
        {"config = 'x'\n", 2, "unknown setting config"},
        {"seed\n", 3, "line 1: name = value"},
        {"\nseed =\n", 3, "line 2: the value is missing"},
        {"labels = 'x\n", 3, "no end"},
        {"labels = \"x\\d\"\n", 3, "no such escape"},
        {"labels = \"x\\ud800\"\n", 3, "no character"},
        {"labels = 'x' y\n", 3, "comment"},
        {"labels = ''\n", 2, "labels is empty"},
        {"seed = [1, 2]\n", 3, "not a list"},
        {"[train\n", 3, "bracket"},
        {"epochs = many\n", 2, "c.toml, line 1"},
    };
    for (const auto& [text, code, part] : bad) {
        const outcome result = run({"train", "--config", write("c.toml", text).string()});
        EXPECT_TRUE(refused(result, code, {"c.toml", part})) << text;
        EXPECT_EQ(result.err.find('\x7f'), std::string::npos) << "bytes of a binary file on the terminal";
    }
    EXPECT_TRUE(refused(run({"--config", at("c.toml"), "train"}), 2, {"--config", "petnet train --config"}));
}

// What is nearer to the user replaces what is farther, under the other name of the same thing, too.
TEST_F(command_line, the_command_line_replaces_what_excludes_it) {
    const arguments tiny{"--size", "32", "--batch-size", "4", "--valid-pct", "0.5"};
    const surroundings listed{.environment = {{"PETNET_VALID_LIST", at("none.txt")}}};
    const nlohmann::json options = options_of(tiny, listed);
    EXPECT_EQ(options.at("valid_pct"), 0.5);
    EXPECT_EQ(options.at("valid_list"), "");
    const surroundings part{.environment = {{"PETNET_VALID_PCT", "0.5"}, {"PETNET_BATCH_SIZE", "4"}}};
    std::string first;
    for (const fs::directory_entry& entry : fs::directory_iterator(at("d"))) first = entry.path().filename();
    const std::string list = write("list.txt", first + "\n").string();
    EXPECT_EQ(options_of({"--size", "32", "--valid-list", list}, part).at("valid_list"), list);
}

TEST_F(command_line, messages_name_the_variable) {
    const surroundings word{.environment = {{"PETNET_BATCH_SIZE", "abc"}}};
    EXPECT_TRUE(refused(run({"train"}, word), 2, {"--batch-size", "abc", "PETNET_BATCH_SIZE"}));
    const surroundings one{.environment = {{"PETNET_BATCH_SIZE", "1"}, {"PETNET_SIZE", "32"}}};
    const outcome small = run({"train", "--weights", "random"}, one);
    EXPECT_TRUE(refused(small, 2, {"at least 2", "PETNET_BATCH_SIZE"}));
    EXPECT_EQ(small.err.find("PETNET_SIZE"), std::string::npos) << small.err;
}

TEST_F(command_line, nothing_is_no_value) {
    for (const char* option :
         {"--data", "--output", "--labels", "--weights", "--device", "--precision", "--recipe", "--resume",
          "--valid-list", "--config", "--batch-size", "--seed"}) {
        EXPECT_TRUE(refused(run({"train", option, ""}), 2, {std::string(option) + " is empty"}));
        EXPECT_TRUE(
            refused(run({"train", std::string(option) + "="}), 2, {std::string(option) + " is empty"}));
    }
    EXPECT_TRUE(refused(run({"train"}, {.environment = {{"PETNET_DATA", ""}}}), 2, {"PETNET_DATA is empty"}));
    EXPECT_TRUE(
        refused(run({"train"}, {.environment = {{"PETNET_CONFIG", ""}}}), 2, {"PETNET_CONFIG is empty"}));
}

TEST_F(command_line, misspelt_weights_get_the_nearest) {
    EXPECT_TRUE(refused(run({"train", "--weights", "embeded"}), 2, {"embeded", "did you mean embedded?"}));
    EXPECT_TRUE(refused(run({"train", "--weights", at("none.pth")}), 3, {"none.pth"}));
}

TEST_F(command_line, answers) {
    for (const arguments& words : std::vector<arguments>{{},
                                                         {"--help"},
                                                         {"-h"},
                                                         {"train", "--help"},
                                                         {"inspect", "--help"},
                                                         {"data", "--help"},
                                                         {"doctor", "--help"}}) {
        const outcome result = run(words);
        EXPECT_EQ(result.code, 0);
        EXPECT_EQ(result.err, "");
        EXPECT_NE(result.out.find("--help"), std::string::npos);
    }
    const std::string train = run({"train", "--help"}).out;
    for (const char* option :
         {"--data", "--labels", "--weights", "--size", "--recipe", "--epochs", "--freeze-epochs", "--lr",
          "--batch-size", "--valid-pct", "--valid-list", "--seed", "--device", "--precision", "--threads",
          "--output", "--resume", "--config", "--quiet"})
        EXPECT_NE(train.find(option), std::string::npos) << option;
    EXPECT_NE(train.find("Usage: petnet train"), std::string::npos) << train;
    EXPECT_NE(train.find("--output DIR=outputs"), std::string::npos) << train;
    const outcome version = run({"--version"});
    EXPECT_EQ(version.code, 0);
    EXPECT_TRUE(version.out.starts_with("petnet ") && lines_of(version.out).size() == 1) << version.out;
    const outcome doctor = run({"doctor"});
    EXPECT_EQ(doctor.code, 0) << doctor.err;
    for (const char* part : {"JPEG, PNG, GIF, BMP, WebP, TIFF", "device cpu", "device cuda",
                             "device reference", "memory", "embedded sample"})
        EXPECT_NE(doctor.out.find(part), std::string::npos) << part;
    EXPECT_TRUE(std::regex_search(doctor.out, std::regex("device reference-double +plain loops")))
        << doctor.out;
    const std::string weights = run({"doctor"}, {.environment = {{"PETNET_CACHE_DIR", at("none")}}}).out;
    EXPECT_TRUE(
        std::regex_search(weights, std::regex("ImageNet weights +not here yet: petnet data fetch resnet34")))
        << weights;
}

TEST_F(command_line, a_full_disk_behind_standard_output) {
    const std::vector<arguments> all{{"--version"}, {"train", "--help"}, {"doctor"}};
    for (arguments words : all) {
        std::string line = "exec \"$0\"";
        for (const std::string& word : words) line += " " + word;
        const outcome result = run({}, {.wrapper = {"sh", "-c", line + " > /dev/full"}});
        EXPECT_TRUE(refused(result, 4)) << words[0];
    }
}

} // namespace
