// SPDX-License-Identifier: Apache-2.0
#include "base/append_file.hpp"

#include "base/errors.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace petnet {

append_file::append_file(std::filesystem::path file, std::uint64_t keep_bytes) : path_(std::move(file)) {
    std::error_code error;
    if (std::filesystem::exists(path_, error) && std::filesystem::file_size(path_, error) > keep_bytes)
        std::filesystem::resize_file(path_, keep_bytes, error);
    descriptor_ = descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    const off_t end = descriptor_.is_open() ? ::lseek(descriptor_.get(), 0, SEEK_END) : -1;
    if (end < 0) throw environment_error(failure(errno));
    written_ = static_cast<std::uint64_t>(end);
}

std::string append_file::failure(int reason) const {
    return "cannot write to " + path_.string() + ": " + std::strerror(reason);
}

int append_file::write_pending() {
    while (!pending_.empty()) {
        const ssize_t count = ::write(descriptor_.get(), pending_.data(), pending_.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        written_ += static_cast<std::uint64_t>(count);
        pending_.erase(0, static_cast<std::size_t>(count));
    }
    return 0;
}

std::optional<std::string> append_file::append(std::string_view record) {
    pending_ += record;
    const int reason = write_pending();
    const bool begins = reason != 0 && !failing_;
    failing_ = reason != 0;
    if (begins) return failure(reason);
    return {};
}

std::optional<std::string> append_file::finish() {
    if (const int reason = write_pending(); reason != 0) return failure(reason);
    return {};
}

} // namespace petnet
