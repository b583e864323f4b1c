// SPDX-License-Identifier: Apache-2.0
#include "train/ranks/handshake.hpp"

#include "base/errors.hpp"

#include <span>
#include <sys/random.h>
#include <type_traits>

namespace petnet::ranks {
namespace {

static_assert(std::is_trivially_copyable_v<greeting>, "sent as bytes");

deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(3); }

} // namespace

job_key random_job_key() {
    job_key key{};
    if (::getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
        throw environment_error("the system has no random numbers");
    return key;
}

bool greet(const descriptor& connection, const greeting& text) {
    return send_all(connection.get(), std::as_bytes(std::span(&text, 1)), soon());
}

std::optional<greeting> receive_greeting(const descriptor& connection) {
    greeting text;
    if (!receive_all(connection.get(), std::as_writable_bytes(std::span(&text, 1)), soon())) return {};
    return text;
}

} // namespace petnet::ranks
