// SPDX-License-Identifier: Apache-2.0
#include "data/part_file.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "net/url.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace petnet::data {
namespace {

namespace fs = std::filesystem;

fs::path origin_file(const fs::path& part) { return part.string() + ".json"; }

// Of no URL where it is not there, or not as write_origin leaves it.
part_origin read_origin(const fs::path& file) {
    constexpr std::size_t longest = 64 * 1024;
    std::error_code error;
    if (!fs::is_regular_file(file, error)) return {};
    const std::vector<std::byte> bytes = read_file(file, longest);
    const nlohmann::json object = nlohmann::json::parse(
        std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), nullptr, false);
    try {
        return {object.at("url"), object.at("etag"), object.at("last_modified"), object.at("bytes")};
    } catch (const nlohmann::json::exception&) {
        return {};
    }
}

} // namespace

const std::string& part_origin::validator() const {
    return etag.empty() || etag.starts_with("W/") ? last_modified : etag;
}

part_file::part_file(fs::path file, const std::string& url)
    : file_(std::move(file)),
      descriptor_(::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644)) {
    if (descriptor_.get() < 0) cannot_write(errno);
    origin_ = read_origin(origin_file(file_));
    const off_t end = ::lseek(descriptor_.get(), 0, SEEK_END);
    if (end < 0) cannot_write(errno);
    size_ = static_cast<std::uint64_t>(end);
    const bool too_long = origin_.bytes > 0 && size_ > origin_.bytes;
    if (origin_.url != net::shown_url(url) || too_long) restart({.url = net::shown_url(url)});
}

void part_file::restart(part_origin origin) {
    // Empty first: a process that is killed in between leaves no bytes of another state.
    if (::ftruncate(descriptor_.get(), 0) != 0) cannot_write(errno);
    size_ = 0;
    origin_ = std::move(origin);
    write_origin();
}

void part_file::append(std::span<const char> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) cannot_write(errno);
        size_ += static_cast<std::uint64_t>(written);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void part_file::finish() {
    if (::fsync(descriptor_.get()) != 0) cannot_write(errno);
    if (origin_.bytes == size_) return;
    origin_.bytes = size_;
    write_origin();
}

void part_file::write_origin() const {
    // What a server sends need not be UTF-8.
    write_file_atomically(origin_file(file_),
                          nlohmann::json{{"url", origin_.url},
                                         {"etag", origin_.etag},
                                         {"last_modified", origin_.last_modified},
                                         {"bytes", origin_.bytes}}
                                  .dump(2, ' ', true, nlohmann::json::error_handler_t::replace) +
                              "\n");
}

void part_file::cannot_write(int code) const {
    throw environment_error("cannot write " + file_.string() + ": " + std::strerror(code));
}

void discard_part(const fs::path& file) {
    std::error_code ignored;
    fs::remove(file, ignored);
    fs::remove(origin_file(file), ignored);
}

} // namespace petnet::data
