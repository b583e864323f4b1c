// SPDX-License-Identifier: Apache-2.0
// What a training prints, and the files it leaves: interface.md promises both to scripts.
#include "base/files.hpp"
#include "model/weights/weight_file.hpp"
#include "tests/app/folders.hpp"

#include <cmath>
#include <regex>
#include <set>

using namespace petnet::testing;

namespace {

class output : public work_folder {
  protected:
    void expect_printed_as_fastai_prints_it(const outcome& result) const;
    void expect_metrics() const;
    void expect_record(const std::string& data) const;
};

std::set<std::string> keys(const nlohmann::json& object) {
    std::set<std::string> names;
    for (const auto& [key, value] : object.items()) names.insert(key);
    return names;
}

// Of three epochs, as random weights begin.
TEST_F(output, of_a_training) {
    const std::string data = photographs("d");
    const outcome result = run(training(data, "o", {"--epochs", "2", "--seed", "3", "--weights", "random"}));
    ASSERT_EQ(result.code, 0) << result.err;
    {
        SCOPED_TRACE("what is printed");
        expect_printed_as_fastai_prints_it(result);
    }
    {
        SCOPED_TRACE("metrics.jsonl");
        expect_metrics();
    }
    SCOPED_TRACE("run.json");
    expect_record(data);
}

void output::expect_printed_as_fastai_prints_it(const outcome& result) const {
    const std::string header = "epoch  train_loss  valid_loss  error_rate  time";
    const std::vector<std::string> lines = lines_of(result.out);
    ASSERT_EQ(lines.size(), 5U) << result.out;
    EXPECT_EQ(lines[0], header);
    EXPECT_EQ(lines[2], header);
    const std::regex row(R"((\d+) +(\d+\.\d{6}) +(\d+\.\d{6}) +(\d\.\d{6}) +\d\d:\d\d)");
    int epoch = 0;
    for (const std::size_t at : {1U, 3U, 4U}) {
        std::smatch found;
        ASSERT_TRUE(std::regex_match(lines[at], found, row)) << lines[at];
        EXPECT_EQ(found[1], std::to_string(epoch++));
    }
    EXPECT_EQ((result.out + result.err).find('\r'), std::string::npos) << "a bar where there is no terminal";
    EXPECT_EQ((result.out + result.err).find('\033'), std::string::npos);
    for (const char* part : {"16 to train, 4 to validate", "cat, dog", "Weights   random", "Device    "})
        EXPECT_NE(result.err.find(part), std::string::npos) << part << "\n" << result.err;
}

TEST_F(output, a_bar_on_a_terminal) {
    const outcome result = run_on_terminal(training(photographs("d", 10), "o", frozen(2)));
    EXPECT_EQ(result.code, 0);
    const std::string& shown = result.out;
    EXPECT_TRUE(std::regex_search(
        shown, std::regex(R"(\repoch 1/2 \[#* *\] 2/2  loss \d+\.\d{4}  \d+ img/s  \d\d:\d\d left)")))
        << shown;
    EXPECT_NE(shown.find("\rvalidating ["), std::string::npos) << shown;
    EXPECT_NE(shown.find("\r\033[K"), std::string::npos) << "the bar stays behind";
}

TEST_F(output, a_report_and_a_picture_of_the_loss) {
    const outcome result = run(training(photographs("d"), "o", {"--epochs", "0", "--quiet"}));
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(lines_of(result.out).size(), 2U);
    const std::string report = content_of(folder() / "o" / "report.html");
    for (const char* part : {"Learning rates", "error rate, ", " of 4", "Confusion matrix", "Top losses",
                             "data:image/jpeg;base64,", "batch_size", "Environment"})
        EXPECT_NE(report.find(part), std::string::npos) << part;

    // The lines of the picture are those of the log: the steps give the scale for the two points of the
    // epoch.
    const std::string picture = content_of(folder() / "o" / "training.svg");
    EXPECT_TRUE(picture.starts_with("<svg "));
    const auto heights = [&](const std::string& style) {
        std::vector<double> found;
        std::smatch path;
        if (!std::regex_search(picture, path, std::regex("class=\"line " + style + "\" d=\"(M[^h\"]*)\"")))
            return found;
        const std::string points = path[1];
        const std::regex point("[ML][0-9.]+ ([0-9.]+)");
        for (std::sregex_iterator i(points.begin(), points.end(), point), end; i != end; ++i)
            found.push_back(std::stod((*i)[1]));
        return found;
    };
    const std::vector<nlohmann::json> log = metrics_of("o"); // four steps, one epoch
    const std::vector<double> steps = heights("faint"), smoothed = heights("line0"),
                              validation = heights("line1");
    ASSERT_EQ(steps.size(), 4U);
    ASSERT_EQ(smoothed.size(), 1U);
    ASSERT_EQ(validation.size(), 1U);
    const auto loss = [&](std::size_t step) { return log[step].at("loss").get<double>(); };
    std::size_t least = 0, most = 0;
    for (std::size_t i = 1; i < 4; ++i) {
        if (loss(i) < loss(least)) least = i;
        if (loss(i) > loss(most)) most = i;
    }
    const double scale = (steps[most] - steps[least]) / (loss(most) - loss(least));
    const auto height = [&](const char* name) {
        return steps[least] + scale * (log.back().at(name).get<double>() - loss(least));
    };
    EXPECT_NEAR(smoothed[0], height("train_loss"), 0.5); // coordinates are rounded to a tenth
    EXPECT_NEAR(validation[0], height("valid_loss"), 0.5);
}

void output::expect_metrics() const {
    const std::set<std::string> of_step{"step", "phase", "epoch", "loss", "lr", "mom", "images_per_second"};
    const std::set<std::string> of_epoch{"epoch",      "phase",      "train_loss",
                                         "valid_loss", "error_rate", "seconds"};
    std::int64_t steps = 0, epochs = 0;
    for (const nlohmann::json& object : metrics_of("o")) {
        EXPECT_EQ(object.at("phase"), epochs == 0 ? "frozen" : "unfrozen");
        EXPECT_EQ(object.at("epoch"), epochs);
        if (object.contains("step")) {
            EXPECT_EQ(keys(object), of_step);
            EXPECT_EQ(object.at("step"), steps++);
            EXPECT_EQ(object.at("lr").size(), 3U);
            EXPECT_TRUE(std::isfinite(object.at("loss").get<double>()));
            EXPECT_GT(object.at("images_per_second").get<double>(), 0);
        } else {
            const std::set<std::string> found = keys(object);
            EXPECT_TRUE(std::includes(found.begin(), found.end(), of_epoch.begin(), of_epoch.end()))
                << object;
            ++epochs;
        }
    }
    EXPECT_EQ(steps, 12);
    EXPECT_EQ(epochs, 3);
}

void output::expect_record(const std::string& data) const {
    const nlohmann::json record = record_of("o");
    EXPECT_EQ(record.at("status"), "finished");
    EXPECT_EQ(record.at("seed"), 3);
    EXPECT_EQ(record.at("options").at("batch_size"), 4);
    EXPECT_EQ(record.at("options").at("data"), data);
    EXPECT_EQ(record.at("classes"), nlohmann::json({"cat", "dog"}));
    EXPECT_TRUE(run({"--version"}).out == "petnet " + record.at("petnet").get<std::string>() + "\n");
    EXPECT_FALSE(record.at("device").get<std::string>().empty());
    EXPECT_EQ(record.at("data").at("sha256").get<std::string>().size(), 64U);
    EXPECT_EQ(record.at("weights").at("sha256"), "random");
    const nlohmann::json& seconds = record.at("seconds");
    EXPECT_GT(seconds.at("total").get<double>(), seconds.at("to_first_step").get<double>());
    double parts = 0; // of the whole; the rest is of the epochs
    for (const char* part : {"photographs_opened", "device", "weights", "plans", "model"}) {
        EXPECT_GT(seconds.at(part).get<double>(), 0) << part;
        parts += seconds.at(part).get<double>();
    }
    EXPECT_LT(parts, seconds.at("total").get<double>());
    const std::string model = model_of("o");
    EXPECT_EQ(record.at("model_sha256"), petnet::sha256(std::as_bytes(std::span(model))));
    EXPECT_FALSE(fs::exists(at("o/checkpoint")));
}

TEST_F(output, model_file) {
    const outcome result =
        run(training(photographs("d"), "o", {"--labels", "breed", "--valid-pct", "0.5", "--epochs", "0"}));
    ASSERT_EQ(result.code, 0) << result.err;
    const auto file = petnet::model::read_weight_file(folder() / "o" / "model.safetensors");
    const auto classes = nlohmann::json::parse(file.metadata.at("classes"));
    EXPECT_EQ(classes, record_of("o").at("classes"));
    EXPECT_GT(classes.size(), 2U);
    EXPECT_EQ(file.metadata.at("size"), "32");
    EXPECT_EQ(file.metadata.at("recipe"), "basic");
    EXPECT_EQ(file.metadata.at("photo_size"), "32");
    EXPECT_EQ(file.metadata.at("mean"), "[0.485,0.456,0.406]");
    EXPECT_EQ(file.metadata.at("std"), "[0.229,0.224,0.225]");
    std::size_t convolutions = 0;
    for (const auto& tensor : file.tensors) {
        EXPECT_EQ(tensor.dtype, petnet::model::weight_dtype::f32) << tensor.name;
        EXPECT_FALSE(tensor.name.starts_with("adam.")) << tensor.name;
        if (tensor.shape.size() == 4) ++convolutions;
    }
    EXPECT_EQ(convolutions, 36U);
    for (const char* name :
         {"conv1.weight", "bn1.running_mean", "layer1.2.bn2.bias", "layer2.0.downsample.1.weight",
          "layer4.2.conv2.weight", "head.bn1.weight", "head.bn2.running_var"})
        EXPECT_NE(file.find(name), nullptr) << name;
    ASSERT_NE(file.find("head.fc2.weight"), nullptr);
    EXPECT_EQ(file.find("head.fc2.weight")->shape,
              (std::vector<std::int64_t>{static_cast<std::int64_t>(classes.size()), 512}));
    EXPECT_EQ(file.find("head.fc1.weight")->shape, (std::vector<std::int64_t>{512, 1024}));
    // It is a start for another training, with its head for the same classes.
    const outcome next = run(training(at("d"), "p",
                                      {"--labels", "breed", "--epochs", "0", "--valid-pct", "0.5",
                                       "--weights", at("o/model.safetensors")}));
    EXPECT_EQ(next.code, 0) << next.err;
}

TEST_F(output, the_list_of_validation_photographs_gives_the_same_run) {
    const std::string data = photographs("d");
    ASSERT_EQ(run(training(data, "o", frozen())).code, 0);
    EXPECT_EQ(lines_of(content_of(at("o/valid.txt"))).size(), 4U);
    const outcome again = run(training(data, "p", {"--valid-list", at("o/valid.txt"), "--epochs", "0"}),
                              {.environment = {{"PETNET_QUIET", "1"}}});
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(again.err, "") << "not quiet by the environment";
    EXPECT_EQ(content_of(at("p/valid.txt")), content_of(at("o/valid.txt")));
    EXPECT_EQ(record_of("p").at("model_sha256"), record_of("o").at("model_sha256"));
    EXPECT_TRUE(model_of("p") == model_of("o"));
}

TEST_F(output, names_that_are_no_utf_8_are_no_trouble) {
    const std::string data = photographs("d", 8);
    fs::copy_file(fs::directory_iterator(data)->path(), folder() / "d" / "caf\xe9_1.jpg");
    write("d/caf\xe9_2.jpg", "broken");
    const outcome result = run(training(data, "o\xe9", {"--epochs", "0", "--max-bad-images", "0.5"}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(nlohmann::json::parse(content_of(at("o\xe9/run.json"))).at("broken").size(), 1U);
}

TEST_F(output, on_the_reference_device) {
    const outcome result =
        run({"train", "--data", photographs("d", 6), "--weights", "random", "--size", "32", "--batch-size",
             "2", "--valid-pct", "0.4", "--device", "reference", "--epochs", "0", "--output", at("o")});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_TRUE(record_of("o").at("device").get<std::string>().starts_with("reference"));
}

TEST_F(output, two_backends_side_by_side_agree) {
    const outcome result = run(training(
        photographs("d", 6), "o",
        {"--device", "check:cpu,reference", "--epochs", "0", "--batch-size", "2", "--valid-pct", "0.4"}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err.find("Warning"), std::string::npos) << result.err;
}

// Who watches is no part of the training.
TEST_F(output, streams_that_nobody_reads_do_not_stop_a_training) {
    const std::string data = photographs("d", 10);
    ASSERT_EQ(run(training(data, "whole", frozen())).code, 0);
    const auto through = [&](const std::string& name, const std::string& redirection) {
        std::string line = "exec \"$0\"";
        for (const std::string& word : training(data, name, frozen())) line += " '" + word + "'";
        return run({}, {.wrapper = {"sh", "-c", line + redirection}});
    };
    // Whether standard output was lost is told at the end; of a reader that has left, nobody is told.
    const std::vector<std::pair<const char*, int>> cases{
        {" 2>&-", 0}, {" 2>/dev/full", 0}, {" >/dev/full", 4}, {" >&-", 4}, {" >&- 2>&- <&-", 4}};
    int number = 0;
    for (const auto& [redirection, code] : cases) {
        const std::string name = "o" + std::to_string(number++);
        const outcome result = through(name, redirection);
        EXPECT_EQ(result.code, code) << redirection << "\n" << result.err;
        EXPECT_TRUE(model_of(name) == model_of("whole")) << redirection;
        EXPECT_EQ(record_of(name).at("status"), "finished") << redirection;
        EXPECT_FALSE(fs::exists(at(name + "/checkpoint"))) << redirection;
    }
    std::string pipe = "{ \"$0\"";
    for (const std::string& word : training(data, "piped", frozen())) pipe += " '" + word + "'";
    const outcome piped =
        run({}, {.wrapper = {"bash", "-c", pipe + "; echo code $? >&2; } | head -1; exit ${PIPESTATUS[1]}"}});
    EXPECT_EQ(piped.out, "epoch  train_loss  valid_loss  error_rate  time\n");
    EXPECT_NE(piped.err.find("code 0\n"), std::string::npos) << piped.err;
    EXPECT_TRUE(model_of("piped") == model_of("whole"));
}

// An error after the start is in the record.
TEST_F(output, a_validation_of_broken_photographs_alone_is_refused) {
    const std::string data = photographs("d", 10);
    write("d/Broken_1.jpg", content_of(fs::directory_iterator(data)->path()).substr(0, 3000));
    write("list.txt", "Broken_1.jpg\n");
    const outcome result =
        run(training(data, "o", {"--quiet", "--valid-list", at("list.txt"), "--max-bad-images", "0.5"}));
    EXPECT_TRUE(refused(result, 3, {"every photograph to validate on", "Broken_1.jpg"}));
    EXPECT_EQ(record_of("o").at("status"), "failed");
    EXPECT_EQ("petnet: " + record_of("o").at("error").get<std::string>() + "\n", result.err);
    EXPECT_FALSE(fs::exists(at("o/model.safetensors")));
}

} // namespace
