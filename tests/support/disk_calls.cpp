// SPDX-License-Identifier: Apache-2.0
#include "tests/support/disk_calls.hpp"

#include <fcntl.h>
#include <filesystem>
#include <mutex>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace {

namespace fs = std::filesystem;

std::mutex mutex;
std::vector<std::string> calls;

void note(const std::string& what, const fs::path& file) {
    const std::string name = file.filename().string();
    const std::lock_guard lock(mutex);
    calls.push_back(what + (fs::is_directory(file) ? "a folder" : name.substr(0, name.find(".tmp"))));
}

} // namespace

extern "C" int fsync(int file) {
    note("fsync ", fs::read_symlink("/proc/self/fd/" + std::to_string(file)));
    return static_cast<int>(::syscall(SYS_fsync, file));
}

extern "C" int rename(const char* from, const char* to) noexcept {
    const int result = ::renameat(AT_FDCWD, from, AT_FDCWD, to);
    note("rename to ", to);
    return result;
}

namespace petnet::test {

std::vector<std::string> disk_calls() {
    const std::lock_guard lock(mutex);
    return std::exchange(calls, {});
}

} // namespace petnet::test
