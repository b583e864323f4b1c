// SPDX-License-Identifier: Apache-2.0
// The three kinds of errors a user can cause or meet. Anything else that is thrown is a bug (exit 70).
// Messages are one line in plain words: what was expected, what was found, which file.
#pragma once

#include <stdexcept>
#include <string>

namespace petnet {

// Base of the three; `exit_code` is the program's promise to scripts.
class error : public std::runtime_error {
  public:
    error(int code, const std::string& message) : std::runtime_error(message), exit_code_(code) {}
    [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

  private:
    int exit_code_;
};

// The command line or a setting is wrong.
class usage_error : public error {
  public:
    explicit usage_error(const std::string& message) : error(2, message) {}
};

// A file or folder is not what it should be.
class input_error : public error {
  public:
    explicit input_error(const std::string& message) : error(3, message) {}
};

// Device, driver, disk, network or tracking failed.
class environment_error : public error {
  public:
    explicit environment_error(const std::string& message) : error(4, message) {}
};

} // namespace petnet
