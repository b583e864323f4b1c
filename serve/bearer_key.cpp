// SPDX-License-Identifier: Apache-2.0
#include "serve/bearer_key.hpp"

#include "base/files.hpp"
#include "serve/base64.hpp"
#include "serve/words.hpp"

#include <optional>
#include <span>

#include <openssl/crypto.h>

namespace petnet::serve {
namespace {

std::string hash_of(std::string_view key) { return sha256(std::as_bytes(std::span(key))); }

} // namespace

bearer_key::bearer_key(std::string_view key) : hash_(key.empty() ? "" : hash_of(key)) {}

bool bearer_key::admits(std::string_view authorization) const {
    if (!is_set()) return true;
    const std::size_t blank = authorization.find(' ');
    if (blank == std::string_view::npos) return false;
    const std::string_view scheme = authorization.substr(0, blank);
    std::string key(trimmed(authorization.substr(blank)));
    if (same_word(scheme, "basic")) {
        const std::optional<std::string> pair = from_base64(key);
        const std::size_t colon = pair ? pair->find(':') : std::string::npos;
        if (colon == std::string::npos) return false;
        key = pair->substr(colon + 1);
    } else if (!same_word(scheme, "bearer")) {
        return false;
    }
    const std::string hash = hash_of(key);
    return CRYPTO_memcmp(hash.data(), hash_.data(), hash_.size()) == 0;
}

} // namespace petnet::serve
