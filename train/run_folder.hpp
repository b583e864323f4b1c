// SPDX-License-Identifier: Apache-2.0
// The output folder of a run: what an earlier run left there, and the files of this one.
#pragma once

#include "train/checkpoint.hpp"
#include "train/observer.hpp"

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace petnet::train {

// Keeps two runs from writing to one folder; the system lets go of it however the process ends.
class folder_lock {
  public:
    // environment_error where another run holds it.
    explicit folder_lock(const std::filesystem::path& folder);
    ~folder_lock();
    folder_lock(const folder_lock&) = delete; // owns a descriptor
    folder_lock& operator=(const folder_lock&) = delete;

  private:
    int descriptor_ = -1;
};

class run_folder {
  public:
    // Makes the folder ready for a run of the given identity, a text that two runs share exactly when one may
    // continue the other:
    //   "auto"   an unfinished run of the same identity in it is continued, from its beginning where it has
    //            no checkpoint yet; another run, and one whose checkpoint cannot be read, is moved to
    //            FOLDER.1
    //            (.2, ...), which `moved_to` then names
    //   "never"  any run in it is moved
    //   a file   that checkpoint is continued, any run in the folder is moved; input_error if it is no
    //            checkpoint or one of another identity
    // Files that are no run's stay where they are: then, or where the folder cannot be renamed, a run in it
    // is moved to FOLDER/FOLDER.1. environment_error where the folder cannot be made or written to, or
    // another process is using it.
    run_folder(std::filesystem::path folder, const std::string& resume, std::string identity);

    [[nodiscard]] const std::filesystem::path& path() const { return folder_; }
    [[nodiscard]] const std::optional<checkpoint>& resumed() const { return resumed_; }
    [[nodiscard]] const std::filesystem::path& resumed_from() const { return resumed_from_; }
    void forget_resumed() { resumed_.reset(); } // its tensors, once they are restored
    // Empty: nothing was moved.
    [[nodiscard]] const std::filesystem::path& moved_to() const { return moved_to_; }

    // Why the checkpoint of a run that would have been continued could not be read. Nothing: there was none
    // such.
    [[nodiscard]] const std::optional<std::string>& damage() const { return damage_; }

    [[nodiscard]] std::filesystem::path model_file() const { return folder_ / "model.safetensors"; }
    [[nodiscard]] std::filesystem::path metrics_file() const { return folder_ / "metrics.jsonl"; }
    [[nodiscard]] std::filesystem::path checkpoint_file() const {
        return folder_ / "checkpoint" / "state.safetensors";
    }

    void write_valid_list(const std::vector<std::string>& names) const; // valid.txt
    void write_run(const nlohmann::json& run) const;                    // run.json
    // The model is written: the resume state goes.
    void remove_checkpoint() const;

    [[nodiscard]] const std::string& identity() const { return identity_; }

  private:
    void move_away();

    std::filesystem::path folder_, moved_to_, resumed_from_;
    std::string identity_;
    std::optional<std::string> damage_;
    std::optional<folder_lock> lock_;
    std::optional<checkpoint> resumed_;
};

} // namespace petnet::train
