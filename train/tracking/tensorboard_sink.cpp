// SPDX-License-Identifier: Apache-2.0
#include "train/tracking/tensorboard_sink.hpp"

#include "base/errors.hpp"
#include "train/tracking/event_record.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace petnet::tracking {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view name_begin = "events.out.tfevents.";

double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Readers take the files in the order of their names: later than all that are there, whatever the clock says.
std::int64_t second_of_new_file(const fs::path& folder) {
    auto second = static_cast<std::int64_t>(now());
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        std::int64_t taken = 0;
        if (name.starts_with(name_begin) &&
            std::from_chars(name.data() + name_begin.size(), name.data() + name.size(), taken).ec ==
                std::errc())
            second = std::max(second, taken + 1);
    }
    return second;
}

std::string host_name() {
    char name[256] = "";
    return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

std::string markdown_table(const std::vector<entry>& entries) {
    std::string text = "| name | value |\n|---|---|\n";
    for (const entry& each : entries) {
        std::string value = each.value;
        for (std::size_t at = 0; (at = value.find('|', at)) != std::string::npos; at += 2)
            value.insert(at, 1, '\\');
        text += "| " + each.name + " | " + value + " |\n";
    }
    return text;
}

} // namespace

tensorboard_sink::tensorboard_sink(fs::path folder) : folder_(std::move(folder)) {}

void tensorboard_sink::start(const run_start& run) {
    std::error_code error;
    fs::create_directories(folder_, error); // opening will show
    try {
        file_.emplace(folder_ / (std::string(name_begin) + std::to_string(second_of_new_file(folder_)) + "." +
                                 host_name() + "." + std::to_string(::getpid())),
                      0);
    } catch (const environment_error& problem) {
        warnings_.push_back(problem.what() + std::string(": there will be no charts for TensorBoard"));
        return;
    }
    append(file_version_record(now()));
    append(session_start_record(now(), run.first_step));
    append(text_record(now(), run.first_step, "parameters", markdown_table(run.parameters)));
}

void tensorboard_sink::step(const report& done) { scalars(done); }
void tensorboard_sink::epoch(const report& done) { scalars(done); }

void tensorboard_sink::scalars(const report& done) {
    std::vector<scalar_value> values;
    for (const measurement& each : done.values) values.push_back({each.name, static_cast<float>(each.value)});
    append(scalars_record(now(), done.step, values));
}

void tensorboard_sink::append(const std::string& record) {
    if (!file_) return;
    const auto failure = file_->append(record);
    if (failure && !std::exchange(warned_, true))
        warnings_.push_back(*failure +
                            ": the training goes on; what is missing there follows if that works again");
}

void tensorboard_sink::end(ending /*how*/, const std::function<bool()>& /*hurry*/) {
    if (!file_) return;
    const auto failure = file_->finish();
    if (failure && !warned_) warnings_.push_back(*failure + ": its last records are lost");
}

std::vector<std::string> tensorboard_sink::take_warnings() { return std::exchange(warnings_, {}); }

} // namespace petnet::tracking
