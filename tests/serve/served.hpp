// SPDX-License-Identifier: Apache-2.0
// `petnet serve` as a process, with the made-up model, on a port of its own.
#pragma once

#include "tests/app/program.hpp"
#include "tests/serve/raw_client.hpp"

#include <filesystem>
#include <string>

namespace petnet::testing {

class served {
  public:
    explicit served(const arguments& more = {}, surroundings where = {});

    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] program& process() { return process_; }
    [[nodiscard]] http_response ask(const std::string& bytes) const { return testing::ask(port_, bytes); }
    // The number on the line of /metrics that begins so; -1 where there is none.
    [[nodiscard]] double metric(const std::string& name) const;
    // Asks it to stop, and gives its end.
    outcome stop();

  private:
    program process_;
    int port_ = 0;
};

// A photograph of the sample.
[[nodiscard]] std::string sample_photo(const std::string& name = "pug_112.jpg");

} // namespace petnet::testing
