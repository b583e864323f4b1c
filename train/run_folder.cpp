// SPDX-License-Identifier: Apache-2.0
#include "train/run_folder.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace petnet::train {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const fs::path& path, const std::string& reason) {
    throw environment_error("cannot write to " + path.string() + ": " + reason);
}

} // namespace

run_folder::run_folder(fs::path folder, const std::string& resume, std::string identity)
    : folder_(std::move(folder)), identity_(std::move(identity)) {
    std::error_code error;
    const fs::file_status status = fs::status(folder_, error);
    if (fs::exists(status) && !fs::is_directory(status))
        cannot_write(folder_, "it is a file, a folder is expected");

    if (resume != "auto" && resume != "never") {
        resumed_ = read_checkpoint(resume);
        if (resumed_->info.identity != identity_)
            throw input_error(resume +
                              " belongs to a run with other options, data or weights: it cannot be continued "
                              "by this one");
        move_away();
    } else {
        if (resume == "auto" && fs::is_regular_file(checkpoint_file(), error)) {
            // A checkpoint that cannot be read is left for its owner to look at, like any other finished
            // business.
            try {
                resumed_ = read_checkpoint(checkpoint_file());
                if (resumed_->info.identity != identity_) resumed_.reset();
            } catch (const input_error&) {
                resumed_.reset();
            }
        }
        if (!resumed_) move_away();
    }
    fs::create_directories(folder_ / "checkpoint", error);
    if (error) cannot_write(folder_, error.message());
    // Root may write anywhere but on a read-only file system; the first real write would come after an epoch.
    if (::access(folder_.c_str(), W_OK) != 0) cannot_write(folder_, std::strerror(errno));
}

void run_folder::move_away() {
    std::error_code error;
    if (!fs::is_directory(folder_, error) || fs::is_empty(folder_, error)) return;
    fs::path plain = folder_;
    if (!plain.has_filename()) plain = plain.parent_path(); // "outputs/" as typed
    for (int i = 1; moved_to_.empty(); ++i)
        if (const fs::path free = plain.string() + "." + std::to_string(i); !fs::exists(free, error))
            moved_to_ = free;
    fs::rename(plain, moved_to_, error);
    if (!error) return;
    // A mount point (a platform's output folder) cannot be renamed; its content can be moved within it.
    moved_to_ = plain / moved_to_.filename();
    fs::create_directory(moved_to_, error);
    for (const fs::directory_entry& entry : fs::directory_iterator(plain, error)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(plain.filename().string() + ".")) continue;
        fs::rename(entry.path(), moved_to_ / name, error);
        if (error) cannot_write(plain, "the earlier run in it cannot be moved away: " + error.message());
    }
}

void run_folder::write_valid_list(const std::vector<std::string>& names) const {
    std::string text;
    for (const std::string& name : names) text += name + "\n";
    write_file_atomically(folder_ / "valid.txt", text);
}

void run_folder::write_run(const nlohmann::json& run) const {
    write_file_atomically(folder_ / "run.json", run.dump(2) + "\n");
}

void run_folder::remove_checkpoint() const {
    std::error_code ignored;
    fs::remove_all(folder_ / "checkpoint", ignored);
}

metrics_log::metrics_log(fs::path file, std::uint64_t keep_bytes) : path_(std::move(file)) {
    std::error_code error;
    if (fs::exists(path_, error) && fs::file_size(path_, error) > keep_bytes)
        fs::resize_file(path_, keep_bytes, error);
    file_.reset(std::fopen(path_.c_str(), "a"));
    if (file_ == nullptr) cannot_write(path_, std::strerror(errno));
}

void metrics_log::line(const nlohmann::json& object) {
    const std::string text = object.dump() + "\n";
    if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
        cannot_write(path_, std::strerror(errno));
}

void metrics_log::on_step(const step_report& step) {
    line({{"step", step.step},
          {"phase", model::name_of(step.phase)},
          {"epoch", step.epoch},
          {"loss", step.loss},
          {"lr", step.hyper.lr},
          {"mom", step.hyper.mom},
          {"images_per_second", step.images_per_second}});
}

void metrics_log::on_epoch(const epoch_report& epoch) {
    line({{"epoch", epoch.epoch},
          {"phase", model::name_of(epoch.phase)},
          {"train_loss", epoch.train_loss},
          {"valid_loss", epoch.validation.loss},
          {"error_rate", epoch.validation.error_rate},
          {"seconds", epoch.seconds},
          {"seconds_validating", epoch.seconds_validating},
          {"seconds_waited", epoch.seconds_waited}});
}

std::uint64_t metrics_log::bytes() { return static_cast<std::uint64_t>(std::ftell(file_.get())); }

} // namespace petnet::train
