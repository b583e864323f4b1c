// SPDX-License-Identifier: Apache-2.0
#include "base/files.hpp"

#include "base/descriptor.hpp"
#include "base/errors.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace petnet {
namespace {

[[noreturn]] void cannot_read(const std::filesystem::path& path, int code) {
    throw input_error("cannot read " + path.string() + ": " + std::strerror(code));
}

std::size_t size_of_regular_file(int fd, const std::filesystem::path& path) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) cannot_read(path, errno);
    if (S_ISDIR(status.st_mode))
        throw input_error("cannot read " + path.string() + ": it is a folder, not a file");
    if (!S_ISREG(status.st_mode))
        throw input_error("cannot read " + path.string() + ": it is not a regular file");
    return static_cast<std::size_t>(status.st_size);
}

[[noreturn]] void cannot_write(const std::filesystem::path& path, int code) {
    throw environment_error("cannot write " + path.string() + ": " + std::strerror(code));
}

// `path` is for the message.
void write_all(const descriptor& file, const std::filesystem::path& path, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(file.get(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) cannot_write(path, errno);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

// What a link leads to, be it there or not.
std::filesystem::path behind_links(std::filesystem::path path) {
    constexpr int most = 40; // as Linux follows; what is left of a circle cannot be opened
    std::error_code error;
    for (int i = 0; i < most && std::filesystem::is_symlink(std::filesystem::symlink_status(path, error));
         ++i)
        path = path.parent_path() / std::filesystem::read_symlink(path, error); // an absolute one as it is
    return path;
}

int open_for_reading(const std::filesystem::path& path) {
    // O_NONBLOCK: opening a FIFO must not wait for a writer; the check for a regular file comes next.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) cannot_read(path, errno);
    return fd;
}

std::string digest_of(std::span<const std::byte> bytes, const EVP_MD* function) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest, &length, function, nullptr) != 1)
        throw environment_error("OpenSSL computes no " + std::string(EVP_MD_get0_name(function)) +
                                " here (in FIPS mode it refuses MD5)");
    std::string text;
    for (unsigned int i = 0; i < length; ++i) {
        static constexpr char digits[] = "0123456789abcdef";
        text += digits[digest[i] >> 4];
        text += digits[digest[i] & 15];
    }
    return text;
}

} // namespace

mapped_file::mapped_file(const std::filesystem::path& path) {
    const descriptor file(open_for_reading(path));
    size_ = size_of_regular_file(file.get(), path);
    if (size_ == 0) return;
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) cannot_read(path, errno);
    data_ = static_cast<const std::byte*>(address);
}

mapped_file::~mapped_file() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t limit) {
    const descriptor file(open_for_reading(path));
    const std::size_t size = size_of_regular_file(file.get(), path);
    if (size > limit)
        throw input_error("cannot read " + path.string() + ": it has " + std::to_string(size) +
                          " bytes, more than the limit of " + std::to_string(limit));
    std::vector<std::byte> bytes(size);
    std::size_t done = 0;
    while (done < size) {
        const ssize_t n = ::read(file.get(), bytes.data() + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) cannot_read(path, errno);
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    bytes.resize(done);
    return bytes;
}

std::string read_text(const std::filesystem::path& path, std::size_t limit) {
    const std::vector<std::byte> bytes = read_file(path, limit);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
        throw input_error("cannot read " + path.string() + ": it is UTF-16 text; save it as UTF-8");
    return std::string(text.substr(text.starts_with("\xef\xbb\xbf") ? 3 : 0));
}

void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(const byte_sink&)>& produce) {
    std::error_code error;
    const std::filesystem::file_status there = std::filesystem::status(path, error);
    if (std::filesystem::is_directory(there)) cannot_write(path, EISDIR);
    if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there)) {
        const descriptor device(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
        if (device.get() < 0) cannot_write(path, errno);
        produce([&](std::span<const std::byte> bytes) { write_all(device, path, bytes); });
        return;
    }
    const std::filesystem::path target = behind_links(path);
    const std::filesystem::path temporary = target.string() + ".tmp" + std::to_string(::getpid());
    descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) cannot_write(path, errno);
    try {
        produce([&](std::span<const std::byte> bytes) { write_all(file, path, bytes); });
        if (::fsync(file.get()) != 0 || file.close() != 0 || ::rename(temporary.c_str(), target.c_str()) != 0)
            cannot_write(path, errno);
    } catch (...) {
        ::unlink(temporary.c_str());
        throw;
    }
    // The rename itself must survive a power cut; some file systems refuse fsync on a folder: not an error.
    const std::filesystem::path folder = target.has_parent_path() ? target.parent_path() : ".";
    const descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() >= 0) (void)::fsync(directory.get());
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
    write_file_atomically(path, [&](const byte_sink& sink) { sink(std::as_bytes(std::span(text))); });
}

std::string sha256(std::span<const std::byte> bytes) { return digest_of(bytes, EVP_sha256()); }
std::string md5(std::span<const std::byte> bytes) { return digest_of(bytes, EVP_md5()); }

} // namespace petnet
