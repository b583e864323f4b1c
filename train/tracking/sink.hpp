// SPDX-License-Identifier: Apache-2.0
// Where a run is told of while it runs: experiment trackers and chart viewers. The training session feeds it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace petnet::tracking {

struct entry {
    std::string name, value; // UTF-8
};

struct run_start {
    std::string name;            // for people
    std::string identity;        // which two runs share exactly where one may continue the other
    std::int64_t first_step = 0; // over the whole run; reports of later steps may come a second time
    std::vector<entry> parameters, tags;
};

struct measurement {
    std::string name; // letters, digits, _ - . / and blanks
    double value = 0; // any, also not a number
};

struct report {
    std::int64_t step = 0, epoch = 0; // over the whole run, from 0; of an epoch: its last step
    std::vector<measurement> values;
};

// A file of the run's results.
struct artifact {
    std::string name;             // "model/model.safetensors": letters, digits, _ - . and /
    std::filesystem::path file{}; // its content; where empty: `text`
    std::string text{};
};

enum class ending { finished, failed, stopped };

// Calls come from one thread, in this order: start, steps and epochs, artifacts, end. None throws or ends a
// training, and none but end waits for anything: what fails becomes a warning, once for each kind of failure.
class sink {
  public:
    virtual ~sink() = default;
    virtual void start(const run_start& run) = 0;
    virtual void step(const report& done) = 0; // of many, some may be left out
    virtual void epoch(const report& done) = 0;
    virtual void keep(const artifact& result) = 0; // a file must stay as it is until the end
    // Delivers what still waits, as far as that comes to an end: after a stop, or as soon as `hurry` holds,
    // that takes 5 seconds at most.
    virtual void end(ending how, const std::function<bool()>& hurry) = 0;
    // Those since the last call.
    [[nodiscard]] virtual std::vector<std::string> take_warnings() = 0;
};

} // namespace petnet::tracking
