// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace petnet::serve {

// The key that requests must bring; an empty one lets everybody in.
class bearer_key {
  public:
    explicit bearer_key(std::string_view key);
    [[nodiscard]] bool is_set() const { return !hash_.empty(); }

    // Whether `authorization` (the header's value) brings the key: "Bearer KEY", or as a browser asks for it,
    // "Basic base64(any name:KEY)". How long it takes says nothing of the key.
    [[nodiscard]] bool admits(std::string_view authorization) const;

  private:
    std::string hash_; // SHA-256: of one length, whatever is compared
};

} // namespace petnet::serve
