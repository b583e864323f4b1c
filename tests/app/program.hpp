// SPDX-License-Identifier: Apache-2.0
// Runs the real petnet as a user would, with a limit on its time.
#pragma once

#include "tests/support/address_sanitizer.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace petnet::testing {

using arguments = std::vector<std::string>;

struct surroundings {
    std::map<std::string, std::string> environment{}; // on top of ours, without its PETNET_ variables
    std::chrono::seconds limit{120};                  // a run that takes longer is a failure
    std::filesystem::path folder{};                   // to run in; empty: ours
    std::filesystem::path input{};                    // its standard input; empty: none
    arguments wrapper{};                              // a program to run it by, with its arguments
};

struct outcome {
    int code = -1; // of the exit; -signal where a signal ended it
    std::string out, err;
    double peak_megabytes = 0, seconds = 0, processor_seconds = 0;
};

// A process of petnet. Destroyed, it is killed.
class program {
  public:
    explicit program(const arguments& words, const surroundings& where = {});
    ~program();
    program(const program&) = delete; // owns a process
    program& operator=(const program&) = delete;

    void signal(int number) const;
    // Waits until `holds`, the end of the process, or the limit; whether it holds.
    bool wait_until(const std::function<bool()>& holds);
    // Its end; a failure of the test, and a kill, if it does not come within the limit.
    outcome end();
    [[nodiscard]] std::string out_so_far() const;
    [[nodiscard]] std::string err_so_far() const;

  private:
    [[nodiscard]] bool ended();

    std::filesystem::path folder_; // of its standard output and standard error
    surroundings where_;
    pid_t process_ = -1;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    bool ended_ = false;
    outcome result_;
};

outcome run(const arguments& words, const surroundings& where = {});

// Its beginning: killed once `holds`, for what nothing later is asked of. It is a failure if that never
// comes.
outcome run_until(const std::function<bool()>& holds, const arguments& words, const surroundings& where = {});

// The same on a terminal: `out` is all that it showed. Of `where` only the environment counts.
outcome run_on_terminal(const arguments& words, const surroundings& where = {});

// Succeeds where the program ended with `code` and one line on standard error that contains all `parts`.
[[nodiscard]] ::testing::AssertionResult refused(const outcome& result, int code,
                                                 const std::vector<std::string>& parts = {});

[[nodiscard]] std::string content_of(const std::filesystem::path& file);
[[nodiscard]] std::vector<std::string> lines_of(const std::string& text);

// Peak memory; not asked of a build for sanitizers.
inline void expect_peak_below(const outcome& result, double megabytes) {
    if constexpr (!address_sanitizer) {
        EXPECT_LT(result.peak_megabytes, megabytes);
    }
}

} // namespace petnet::testing
