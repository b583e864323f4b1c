// SPDX-License-Identifier: Apache-2.0
#include "app/console.hpp"

#include "base/errors.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

namespace petnet::app {
namespace {

bool reader_left = false;

} // namespace

void occupy_standard_streams() noexcept {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(stream, F_GETFD) < 0)
            static_cast<void>(::open("/dev/null", O_RDONLY)); // the lowest free number
}

void tell(std::string_view text) noexcept {
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
    static_cast<void>(std::fflush(stderr));
}

void tell_result(std::string_view text) noexcept {
    const bool written =
        std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
    if (!written && errno == EPIPE) reader_left = true;
}

void flush_output() {
    if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0) && !reader_left)
        throw environment_error("standard output cannot be written");
}

} // namespace petnet::app
