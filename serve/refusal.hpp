// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace petnet::serve {

// A request that cannot be answered as it is: the HTTP status, and what was expected in a line for its
// sender.
class refusal : public std::runtime_error {
  public:
    refusal(int status, const std::string& message) : std::runtime_error(message), status_(status) {}
    [[nodiscard]] int status() const noexcept { return status_; }

  private:
    int status_;
};

} // namespace petnet::serve
