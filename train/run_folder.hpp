// SPDX-License-Identifier: Apache-2.0
// The output folder of a run: what an earlier run left there, and the files of this one.
#pragma once

#include "train/checkpoint.hpp"
#include "train/observer.hpp"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace petnet::train {

class run_folder {
  public:
    // Makes the folder ready for a run of the given identity, a text that two runs share exactly when one may
    // continue the other:
    //   resume "auto"   an unfinished run of the same identity in it is continued; anything else that lies
    //   there
    //                   is moved to FOLDER.1 (.2, ...), which `moved_to` then names
    //   resume "never"  whatever lies there is moved
    //   a file          that checkpoint is continued, whatever lies in the folder is moved; input_error if it
    //   is no
    //                   checkpoint or one of another identity
    // environment_error where the folder cannot be made or written to.
    run_folder(std::filesystem::path folder, const std::string& resume, std::string identity);

    [[nodiscard]] const std::filesystem::path& path() const { return folder_; }
    [[nodiscard]] const std::optional<checkpoint>& resumed() const { return resumed_; }
    void forget_resumed() { resumed_.reset(); } // its tensors, once they are restored
    [[nodiscard]] const std::filesystem::path& moved_to() const {
        return moved_to_;
    } // empty: nothing was moved

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

    std::filesystem::path folder_, moved_to_;
    std::string identity_;
    std::optional<checkpoint> resumed_;
};

// metrics.jsonl: one object a step and one an epoch, as interface.md lists them.
class metrics_log final : public observer {
  public:
    // Keeps the first `keep_bytes` of an existing file: what a resumed run's checkpoint knew.
    // environment_error where it cannot be opened, and from the on_... functions where it cannot be written.
    metrics_log(std::filesystem::path file, std::uint64_t keep_bytes);
    void on_step(const step_report& step) override;
    void on_epoch(const epoch_report& epoch) override;

    // Bytes written so far; all of them are handed to the system.
    [[nodiscard]] std::uint64_t bytes();

  private:
    void line(const nlohmann::json& object);
    std::filesystem::path path_;
    struct closer {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, closer> file_;
};

} // namespace petnet::train
