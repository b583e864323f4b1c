// SPDX-License-Identifier: Apache-2.0
#include "train/run_folder.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "data/split.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

namespace petnet::train {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const fs::path& path, const std::string& reason) {
    throw environment_error("cannot write to " + path.string() + ": " + reason);
}

// What a run leaves in its folder; anything else there is the user's.
constexpr std::array<const char*, 8> run_entries{"run.json",          "metrics.jsonl", "valid.txt",
                                                 "model.safetensors", "checkpoint",    "report.html",
                                                 "report.csv",        "training.svg"};

bool is_run_entry(const std::string& name) {
    return std::ranges::any_of(run_entries, [&](const char* entry) { return name == entry; });
}

// FOLDER.1, or the first after it that is free.
fs::path free_name(const fs::path& folder) {
    for (int i = 1;; ++i) {
        std::error_code error;
        fs::path name = folder.string() + "." + std::to_string(i);
        if (!fs::exists(fs::symlink_status(name, error))) return name;
    }
}

// The temporary files of write_file_atomically that a killed process left.
void remove_temporaries(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        const std::size_t mark = name.rfind(".tmp");
        if (mark == std::string::npos || mark + 4 == name.size()) continue;
        const std::string file = name.substr(0, mark);
        const bool numbered = name.find_first_not_of("0123456789", mark + 4) == std::string::npos;
        if (numbered && (is_run_entry(file) || file == "state.safetensors" || file == "mlflow_run.json"))
            found.push_back(entry.path());
    }
    for (const fs::path& file : found) fs::remove(file, error);
}

// The status in the folder's run.json, where that is of this identity; else empty.
std::string status_of(const fs::path& folder, const std::string& identity) {
    try {
        constexpr std::size_t longest = 256 * 1024 * 1024;
        const std::vector<std::byte> bytes = read_file(folder / "run.json", longest);
        const auto* text = reinterpret_cast<const char*>(bytes.data());
        const auto run = nlohmann::json::parse(text, text + bytes.size());
        return run.at("identity") == identity ? run.at("status").get<std::string>() : "";
    } catch (const std::exception&) {
        return ""; // no run.json, or not one of ours
    }
}

// Whether the folder holds a run of this identity that ended before its first checkpoint.
bool barely_begun(const fs::path& folder, const std::string& identity) {
    const std::string status = status_of(folder, identity);
    std::error_code error;
    return !status.empty() && status != "finished" && !fs::exists(folder / "model.safetensors", error) &&
           !fs::exists(folder / "checkpoint" / "state.safetensors", error);
}

// The log that belongs to a checkpoint, up to its moment; empty where it is not in the checkpoint's folder.
std::vector<std::byte> metrics_beside(const fs::path& checkpoint, std::uint64_t bytes) {
    constexpr std::size_t longest = 1024 * 1024 * 1024;
    try {
        const fs::path folder = fs::absolute(checkpoint).parent_path().parent_path();
        std::vector<std::byte> metrics = read_file(folder / "metrics.jsonl", longest);
        if (metrics.size() < bytes) return {};
        metrics.resize(bytes);
        return metrics;
    } catch (const std::exception&) {
        return {};
    }
}

} // namespace

folder_lock::folder_lock(const fs::path& folder) {
    descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // Some network file systems have no locks: then nothing guards, as without this class.
    if (descriptor_ >= 0 && ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        ::close(std::exchange(descriptor_, -1));
        throw environment_error("another run is writing to " + folder.string() +
                                ": wait for it, or choose another --output");
    }
}

folder_lock::~folder_lock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

run_folder::run_folder(fs::path folder, const std::string& resume, std::string identity)
    : folder_(std::move(folder)), identity_(std::move(identity)) {
    std::error_code error;
    const fs::file_status status = fs::status(folder_, error);
    if (status.type() == fs::file_type::none) cannot_write(folder_, error.message());
    if (fs::exists(status) && !fs::is_directory(status))
        cannot_write(folder_, "it is a file, a folder is expected");
    if (fs::is_directory(status)) lock_.emplace(folder_);

    bool in_place = false;
    std::vector<std::byte> metrics; // of the steps before the checkpoint
    if (resume != "auto" && resume != "never") {
        resumed_ = read_checkpoint(resume);
        resumed_from_ = resume;
        if (resumed_->info.identity != identity_)
            throw input_error(resume +
                              " belongs to a run with other options, data or weights: it cannot be continued "
                              "by this one");
        metrics = metrics_beside(resume, resumed_->info.metrics_bytes);
    } else if (resume == "auto") {
        // A run may be killed after its record says that it is finished, before its checkpoint is removed.
        if (fs::is_regular_file(checkpoint_file(), error) && status_of(folder_, identity_) != "finished") {
            // A checkpoint that cannot be read is left for its owner to look at, like any other finished
            // business.
            try {
                resumed_ = read_checkpoint(checkpoint_file());
                resumed_from_ = checkpoint_file();
                if (resumed_->info.identity != identity_) resumed_.reset();
            } catch (const input_error& problem) {
                resumed_.reset();
                damage_ = problem.what();
            }
        }
        in_place = resumed_ || barely_begun(folder_, identity_);
    }
    if (!in_place) move_away();
    fs::create_directories(folder_ / "checkpoint", error);
    if (error) cannot_write(folder_, error.message());
    if (!moved_to_.empty()) lock_.reset(); // that one is of the folder moved
    if (!lock_) lock_.emplace(folder_);
    if (!metrics.empty())
        write_file_atomically(metrics_file(), [&](const byte_sink& sink) { sink(metrics); });
    if (in_place) {
        remove_temporaries(folder_);
        remove_temporaries(folder_ / "checkpoint");
    }
}

void run_folder::move_away() {
    std::error_code error;
    std::vector<std::string> ours;
    bool others = false;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
        const std::string name = entry.path().filename().string();
        if (is_run_entry(name.substr(0, name.rfind(".tmp"))))
            ours.push_back(name);
        else
            others = true;
    }
    if (ours.empty() ||
        (ours == std::vector<std::string>{"checkpoint"} && fs::is_empty(folder_ / ours[0], error)))
        return;
    fs::path plain = folder_;
    if (!plain.has_filename()) plain = plain.parent_path(); // "outputs/" as typed
    // A folder of the run alone is renamed. The content is moved within it where the folder must stay: it
    // holds other files, is a link, is where the user is, or a platform's mount point.
    moved_to_ = free_name(plain);
    if (!others && !fs::is_symlink(plain, error) && plain.filename() != "." && plain.filename() != "..") {
        fs::rename(plain, moved_to_, error);
        if (!error) return;
    }
    moved_to_ = free_name(plain / (plain.filename().string().starts_with(".") ? "run" : plain.filename()));
    fs::create_directory(moved_to_, error);
    for (const std::string& name : ours) {
        if (!error) fs::rename(plain / name, moved_to_ / name, error);
        if (error) cannot_write(plain, "the earlier run in it cannot be moved away: " + error.message());
    }
}

void run_folder::write_valid_list(const std::vector<std::string>& names) const {
    write_file_atomically(folder_ / "valid.txt", data::list_of(names));
}

void run_folder::write_run(const nlohmann::json& run) const {
    // File names need not be UTF-8.
    write_file_atomically(folder_ / "run.json",
                          run.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void run_folder::remove_checkpoint() const {
    std::error_code ignored;
    fs::remove_all(folder_ / "checkpoint", ignored);
}

} // namespace petnet::train
