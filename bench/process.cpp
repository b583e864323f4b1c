// SPDX-License-Identifier: Apache-2.0
#include "bench/process.hpp"

#include "base/errors.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace petnet::bench {

process_result run_process(const std::vector<std::string>& words, bool quiet) {
    std::array<int, 2> ends{};
    const auto fail = [&](const char* doing, int number) {
        throw environment_error(std::string(doing) + ' ' + words.at(0) + ": " + std::strerror(number));
    };
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("cannot make a pipe for", errno);

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (quiet) ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int failed = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);

    process_result result;
    std::array<char, 4096> part{};
    while (failed == 0) {
        const ssize_t got = ::read(ends[0], part.data(), part.size());
        if (got > 0) result.output.append(part.data(), static_cast<std::size_t>(got));
        if (got == 0 || (got < 0 && errno != EINTR)) break;
    }
    ::close(ends[0]);
    if (failed != 0) fail("cannot start", failed);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    constexpr int of_signals = 128;
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : of_signals + WTERMSIG(status);
    return result;
}

} // namespace petnet::bench
