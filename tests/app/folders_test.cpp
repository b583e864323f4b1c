// SPDX-License-Identifier: Apache-2.0
// Folders that are not what they should be: of photographs, for the output, on a full disk.
#include "model/weights/weight_file.hpp"
#include "tests/app/folders.hpp"

#include <csignal>
#include <sys/mount.h>
#include <unistd.h>

using namespace petnet::testing;

namespace {

class folders : public work_folder {
  protected:
    // Peak memory without any plan of the training, which these runs do not come to.
    static void expect_modest(const outcome& result) { expect_peak_below(result, 500); }
    void expect_refused(const arguments& words, int code, const std::vector<std::string>& parts) {
        const outcome result = run(words);
        EXPECT_TRUE(refused(result, code, parts));
        expect_modest(result);
    }
};

// A file system in memory for the length of a test.
class small_disk {
  public:
    small_disk(fs::path folder, const char* options) : folder_(std::move(folder)) {
        fs::create_directories(folder_);
        mounted_ = ::mount("petnet-test", folder_.c_str(), "tmpfs", 0, options) == 0;
    }
    ~small_disk() {
        if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    }
    small_disk(const small_disk&) = delete; // owns a mount
    small_disk& operator=(const small_disk&) = delete;
    [[nodiscard]] bool mounted() const { return mounted_; }
    [[nodiscard]] bool make_read_only() const {
        return ::mount("petnet-test", folder_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
    }

  private:
    fs::path folder_;
    bool mounted_ = false;
};

constexpr const char* no_mount = "mounting a file system needs the rights of an administrator";

TEST_F(folders, of_photographs) {
    expect_refused({"train", "--data", at("none"), "--weights", "random"}, 3, {at("none")});
    fs::create_directories(at("empty"));
    expect_refused({"train", "--data", at("empty"), "--weights", "random"}, 3,
                   {at("empty"), "no photograph"});
    write("text/readme.txt", "no photograph");
    expect_refused({"train", "--data", at("text"), "--weights", "random"}, 3, {at("text"), "no photograph"});
    expect_refused({"train", "--data", write("file", "x").string(), "--weights", "random"}, 3,
                   {"not a folder"});
    expect_refused({"inspect", at("none")}, 3, {at("none")});
    expect_refused({"inspect", at("empty")}, 3, {at("empty")});
}

TEST_F(folders, of_one_class) {
    const std::string data = photographs("d");
    std::vector<fs::path> dogs;
    for (const fs::directory_entry& entry : fs::directory_iterator(data))
        if (std::islower(entry.path().filename().string()[0]) != 0) dogs.push_back(entry.path());
    ASSERT_FALSE(dogs.empty());
    for (const fs::path& dog : dogs) fs::remove(dog);
    expect_refused(training(data, "o"), 3, {"\"cat\"", "two classes"});
    expect_refused(training(data, "o", {"--labels", "folder"}), 3, {"\"d\"", "two classes"});
    EXPECT_FALSE(fs::exists(at("o")));
}

TEST_F(folders, with_labels_that_do_not_fit) {
    const std::string data = photographs("d");
    expect_refused(training(data, "o", {"--labels", "color"}), 2, {"color", "regex=RE"});
    expect_refused(training(data, "o", {"--labels", "regex=("}), 2, {"not a valid regular expression"});
    expect_refused(training(data, "o", {"--labels", "regex=abc"}), 2, {"no group"});
    expect_refused(training(data, "o", {"--labels", "regex=(z{9})"}), 3, {"does not fit"});
    expect_refused(training(data, "o", {"--labels", "regex=(\xff)"}), 2, {"UTF-8"});
    fs::copy_file(fs::directory_iterator(data)->path(), folder() / "d" / "nobreed.jpg");
    expect_refused(training(data, "o", {"--labels", "breed"}), 3, {"nobreed.jpg", "breed"});
    write("e/\xe9t\xe9/x.bmp", "");
    fs::remove(folder() / "e/\xe9t\xe9/x.bmp");
    fs::copy_file(fs::directory_iterator(data)->path(), folder() / "e/\xe9t\xe9" / "a.jpg");
    fs::create_directories(at("e/winter"));
    fs::copy_file(fs::directory_iterator(data)->path(), folder() / "e/winter/a.jpg");
    expect_refused(training(at("e"), "o", {"--labels", "folder"}), 3, {"UTF-8"});
    EXPECT_FALSE(fs::exists(at("o")));
}

TEST_F(folders, with_lists_that_do_not_fit) {
    const std::string data = photographs("d");
    expect_refused(training(data, "o", {"--valid-list", at("none.txt")}), 3, {"none.txt"});
    expect_refused(training(data, "o", {"--valid-list", data}), 3, {data});
    write("list.txt", "\nno_such_photo.jpg\n");
    expect_refused(training(data, "o", {"--valid-list", at("list.txt")}), 3,
                   {"list.txt, line 2", "no_such_photo.jpg"});
    write("list.txt", "\n");
    expect_refused(training(data, "o", {"--valid-list", at("list.txt")}), 3, {"no photograph to validate"});
    expect_refused(training(data, "o", {"--valid-list", at("list.txt"), "--valid-pct", ".3"}), 2,
                   {"--valid"});
    expect_refused(training(data, "o", {"--batch-size", "64"}), 2, {"16", "64", "smaller --batch-size"});
    expect_refused(training(data, "o", {"--valid-pct", "0.01"}), 3, {"--valid-pct"});
    EXPECT_FALSE(fs::exists(at("o")));
}

TEST_F(folders, an_option_refused_late_leaves_the_earlier_run_alone) {
    const std::string data = photographs("d");
    write("o/run.json", "{}");
    write("o/model.safetensors", "earlier");
    expect_refused(training(data, "o", {"--batch-size", "64"}), 2, {"--batch-size"});
    write("d/broken_1.jpg", "nothing");
    expect_refused(training(data, "o"), 3, {"broken_1.jpg"});
    EXPECT_EQ(model_of("o"), "earlier");
    EXPECT_FALSE(fs::exists(at("o.1")));
}

TEST_F(folders, the_output_is_a_file) {
    const std::string data = photographs("d");
    write("o", "precious");
    expect_refused(training(data, "o"), 4, {at("o"), "it is a file"});
    expect_refused(training(data, "o/below"), 4, {at("o/below")});
    EXPECT_EQ(content_of(at("o")), "precious");
}

TEST_F(folders, the_output_cannot_be_written) {
    const std::string data = photographs("d");
    const small_disk disk(folder() / "disk", "size=1m");
    if (!disk.mounted()) GTEST_SKIP() << no_mount;
    write("disk/o/run.json", "{}");
    ASSERT_TRUE(disk.make_read_only());
    expect_refused(training(data, "disk/new"), 4, {at("disk/new"), "Read-only file system"});
    expect_refused(training(data, "disk/o"), 4, {at("disk/o")});
}

TEST_F(folders, the_output_belongs_to_somebody_else) {
    // Copies: the user may not look into the folder of the sources, to which the links lead.
    const std::string data = at("d");
    fs::copy(photographs("links"), data);
    fs::create_directories(at("closed"));
    fs::permissions(at("closed"), fs::perms::owner_all);
    surroundings nobody;
    if (::geteuid() == 0) {
        nobody.wrapper = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
        if (run({"--version"}, nobody).code != 0) GTEST_SKIP() << "no way to run as another user: setpriv";
    } else {
        fs::permissions(at("closed"), fs::perms::owner_read | fs::perms::owner_exec);
    }
    const outcome result = run(training(data, "closed/o"), nobody);
    EXPECT_TRUE(refused(result, 4, {at("closed/o"), "ermission denied"}));
    fs::permissions(at("closed"), fs::perms::owner_all);

    // Where all folders are there already, the first file is refused: before a step is made.
    fs::create_directories(at("shown/checkpoint"));
    const fs::perms readable =
        fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec;
    fs::permissions(at("shown"), readable);
    EXPECT_TRUE(refused(run(training(data, "shown"), nobody), 4, {at("shown"), "ermission denied"}));
    fs::permissions(at("shown"), fs::perms::owner_all);
}

// A checkpoint has 262 MB, the model 87 MB, and so has the checkpoint of the end.
TEST_F(folders, the_disk_is_full_for_the_model) {
    const std::string data = photographs("d", 10);
    struct full_disk {
        const char* size;
        std::string file;     // that the error names
        std::size_t warnings; // before it
        bool begun;
    };
    for (const auto& [size, file, warnings, begun] : std::vector<full_disk>{
             {"size=0,nr_inodes=3", "", 0, false},            // not even a file
             {"size=4k", "", 0, false},                       // a part of the first files
             {"size=60m", "/model.safetensors", 1, true},     // a part of the checkpoint
             {"size=300m", "/model.safetensors", 0, true}}) { // the checkpoint, but not the model beside it
        const std::string name = "disk" + std::string(size).substr(5, 3);
        const small_disk disk(folder() / name, size);
        if (!disk.mounted()) GTEST_SKIP() << no_mount;
        arguments words = training(data, name + "/o", frozen(2)); // a checkpoint between the two
        words.emplace_back("--quiet");
        const outcome result = run(words);
        EXPECT_EQ(result.code, 4) << size;
        const std::vector<std::string> lines = lines_of(result.err);
        ASSERT_EQ(lines.size(), warnings + 1) << size << ": " << result.err;
        for (std::size_t i = 0; i < warnings; ++i)
            EXPECT_TRUE(lines[i].starts_with("Warning: ") &&
                        lines[i].find("state.safetensors: No space left on device: the training goes on") !=
                            std::string::npos)
                << lines[i];
        EXPECT_TRUE(lines.back().starts_with("petnet: ")) << lines.back();
        for (const std::string& part : {at(name + "/o") + file, std::string("No space left on device")})
            EXPECT_NE(lines.back().find(part), std::string::npos) << lines.back();
        for (const fs::directory_entry& entry : fs::recursive_directory_iterator(at(name)))
            EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << entry.path();
        EXPECT_FALSE(fs::exists(at(name + "/o/model.safetensors")));
        if (!begun) continue;
        EXPECT_NE(lines.back().find("that 88 MB can be written there, then the same command"),
                  std::string::npos)
            << lines.back();
        EXPECT_EQ(record_of(name + "/o").at("status"), "failed");
        EXPECT_EQ("petnet: " + record_of(name + "/o").at("error").get<std::string>(), lines.back());
    }
}

TEST_F(folders, the_disk_is_full_for_checkpoints_only) {
    const std::string data = photographs("d", 10);
    const outcome whole = run(training(data, "whole", frozen(2)));
    ASSERT_EQ(whole.code, 0) << whole.err;
    for (const char* size : {"size=120m", "size=200m"}) { // the second has room for a checkpoint of the end
        const small_disk disk(folder() / "disk", size);
        if (!disk.mounted()) GTEST_SKIP() << no_mount;
        arguments words = training(data, "disk/o", frozen(2));
        words.emplace_back("--quiet");
        const outcome result = run(words);
        EXPECT_EQ(result.code, 0) << result.err;
        EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
        EXPECT_NE(result.err.find("the training goes on"), std::string::npos) << result.err;
        EXPECT_TRUE(model_of("disk/o") == model_of("whole"));
        EXPECT_EQ(record_of("disk/o").at("status"), "finished");
        EXPECT_EQ(metrics_of("disk/o").size(), metrics_of("whole").size());
    }
}

// 143 promises a checkpoint.
TEST_F(folders, the_disk_is_full_when_a_stop_is_asked_for) {
    const std::string data = photographs("d", 10);
    const small_disk disk(folder() / "disk", "size=60m");
    if (!disk.mounted()) GTEST_SKIP() << no_mount;
    program running(training(data, "disk/o", {"--freeze-epochs", "1000"}));
    ASSERT_TRUE(running.wait_until([&] { return !content_of(at("disk/o/metrics.jsonl")).empty(); }));
    running.signal(SIGTERM);
    const outcome result = running.end();
    EXPECT_EQ(result.code, 4) << result.err;
    const std::string last = lines_of(result.err).back();
    EXPECT_TRUE(last.starts_with("petnet: cannot write ")) << last;
    EXPECT_NE(last.find("a stop was asked for"), std::string::npos) << last;
    EXPECT_EQ(record_of("disk/o").at("status"), "failed");
}

// The log and a checkpoint want the same last bytes: what the log could not get, it gets later.
TEST_F(folders, a_log_that_cannot_be_written_for_a_while_is_whole_in_the_end) {
    const std::string data = photographs("d");
    const small_disk disk(folder() / "disk", "size=600m");
    if (!disk.mounted()) GTEST_SKIP() << no_mount;
    program running(training(data, "disk/o", frozen(1000)));
    const auto lines = [&] { return lines_of(content_of(at("disk/o/metrics.jsonl"))).size(); };
    ASSERT_TRUE(running.wait_until([&] { return lines() >= 1; }));
    // Again and again: a checkpoint that could not be written leaves room. Some lines still fit into the
    // log's last page.
    const bool failed = running.wait_until([&] {
        std::ofstream filler(at("disk/filler"), std::ios::binary | std::ios::app);
        const std::vector<char> block(1 << 20);
        for (const std::streamsize part : {1 << 20, 1 << 12}) {
            while (filler.write(block.data(), part) && filler.flush()) {
            }
            filler.clear();
        }
        return running.err_so_far().find("metrics.jsonl: No space left on device: the training goes on") !=
               std::string::npos;
    });
    const std::size_t then = lines();
    fs::remove(at("disk/filler"));
    EXPECT_TRUE(running.wait_until([&] { return lines() > then + 5; })) << "nothing was written any more";
    running.signal(SIGTERM);
    const outcome result = running.end();
    EXPECT_TRUE(failed) << result.err;
    EXPECT_EQ(result.code, 143) << result.err;
    std::int64_t step = 0, epoch = 0;
    for (const nlohmann::json& line : metrics_of("disk/o"))
        if (line.contains("step"))
            EXPECT_EQ(line.at("step"), step++);
        else
            EXPECT_EQ(line.at("epoch"), epoch++);
    const auto state = petnet::model::read_weight_file(at("disk/o/checkpoint/state.safetensors"));
    const auto saved = nlohmann::json::parse(state.metadata.at("petnet.checkpoint"));
    EXPECT_EQ(saved.at("epoch"), epoch);
    EXPECT_EQ(saved.at("step"), step);
}

TEST_F(folders, a_mount_point_keeps_every_earlier_run) {
    const std::string data = photographs("d", 8);
    const small_disk disk(folder() / "disk", "size=1g");
    if (!disk.mounted()) GTEST_SKIP() << no_mount;
    const auto of_seed = [&](const char* seed) {
        return training(data, "disk", {"--epochs", "0", "--seed", seed});
    };
    const outcome finished = run(of_seed("1"));
    ASSERT_EQ(finished.code, 0) << finished.err;
    run_to_first_step(of_seed("2"), "disk"); // unfinished, and of other options than the next
    run_to_first_step(of_seed("3"), "disk");
    EXPECT_EQ(record_of("disk").at("seed"), 3);
    EXPECT_EQ(record_of("disk/disk.1").at("seed"), 1);
    EXPECT_EQ(record_of("disk/disk.2").at("seed"), 2);
}

TEST_F(folders, what_is_no_run_stays_where_it_is) {
    const std::string data = photographs("home/d", 8);
    write("home/letter.txt", "dear");
    const outcome finished = run(training(data, "home", {"--epochs", "0", "--seed", "1"}));
    ASSERT_EQ(finished.code, 0) << finished.err;
    run_to_first_step(training(data, "home", {"--epochs", "0", "--seed", "2"}), "home");
    EXPECT_EQ(content_of(at("home/letter.txt")), "dear");
    EXPECT_TRUE(fs::exists(data));
    EXPECT_EQ(record_of("home").at("seed"), 2);
    EXPECT_EQ(record_of("home/home.1").at("seed"), 1);
    run_to_first_step({"train", "--data", "d", "--weights", "embedded", "--size", "32", "--batch-size", "4",
                       "--epochs", "0", "--output", "."},
                      "home", {.folder = at("home")});
    EXPECT_EQ(record_of("home/run.1").at("seed"), 2);
}

} // namespace
