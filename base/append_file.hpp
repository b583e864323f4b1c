// SPDX-License-Identifier: Apache-2.0
// A file that grows by whole records, on a disk that may be full for a while.
#pragma once

#include "base/descriptor.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace petnet {

class append_file {
  public:
    // Opens the file, or makes it, and cuts it to its first `keep_bytes`. environment_error where it cannot.
    append_file(std::filesystem::path file, std::uint64_t keep_bytes);

    // What cannot be written is kept in memory and tried again with each record. The reason, when that
    // begins, else nothing.
    std::optional<std::string> append(std::string_view record);
    // Of all records so far, those that wait to be written included.
    [[nodiscard]] std::uint64_t bytes() const { return written_ + pending_.size(); }
    // Why records still wait, after another try; nothing where none does.
    [[nodiscard]] std::optional<std::string> finish();

  private:
    // The system's reason where something still waits.
    [[nodiscard]] int write_pending();
    [[nodiscard]] std::string failure(int reason) const;

    std::filesystem::path path_;
    descriptor descriptor_;
    std::uint64_t written_ = 0;
    std::string pending_;
    bool failing_ = false;
};

} // namespace petnet
