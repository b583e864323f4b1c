// SPDX-License-Identifier: Apache-2.0
#include "data/archive.hpp"

#include "base/descriptor.hpp"
#include "base/errors.hpp"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <span>
#include <sys/stat.h>
#include <vector>

namespace petnet::data {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t ratio_floor = 16 * 1024 * 1024;
constexpr std::size_t longest_path = 1024, longest_name = 255;
constexpr std::size_t block_size = 256 * 1024;

// The parts of a member's path, without "." and empty ones; empty where the path leads elsewhere or is no
// text that should become a file's name.
std::vector<std::string_view> safe_parts(std::string_view path) {
    const auto control = [](unsigned char c) { return std::iscntrl(c) != 0; };
    if (path.starts_with('/') || path.size() > longest_path || std::ranges::any_of(path, control)) return {};
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        const std::string_view part = path.substr(0, path.find('/'));
        path.remove_prefix(std::min(part.size() + 1, path.size()));
        if (part == ".." || part.size() > longest_name) return {};
        if (!part.empty() && part != ".") parts.push_back(part);
    }
    return parts;
}

class unpacker {
  public:
    unpacker(const fs::path& archive, std::string_view inside, const fs::path& folder,
             const archive_limits& limits, const work_listener& listener)
        : name_(archive.string()),
          inside_(safe_parts(inside)),
          folder_(folder),
          limits_(limits),
          listener_(listener),
          reader_(archive_read_new()) {
        if (reader_ == nullptr) throw std::bad_alloc();
        // Nothing else is needed, and each other format would be one more that hostile bytes can reach.
        archive_read_support_format_tar(reader_.get());
        archive_read_support_filter_gzip(reader_.get());
        archive_read_support_filter_zstd(reader_.get());
        if (archive_read_open_filename(reader_.get(), archive.c_str(), block_size) != ARCHIVE_OK)
            refuse_as_corrupt();
        std::error_code error;
        packed_size_ = fs::file_size(archive, error);
    }

    void run() {
        archive_entry* entry = nullptr;
        for (;;) {
            listener_.throw_if_stopping();
            const int result = archive_read_next_header(reader_.get(), &entry);
            if (result == ARCHIVE_EOF) break;
            // A warning is about what is not taken over: times, owners, attributes.
            if (result != ARCHIVE_OK && result != ARCHIVE_WARN) refuse_as_corrupt();
            if (++members_ > limits_.members)
                refuse("it holds more than " + std::to_string(limits_.members) + " files and folders");
            take(entry);
        }
        if (members_ == 0) refuse("it is empty or no archive");
    }

  private:
    [[noreturn]] void refuse(const std::string& why) const {
        throw input_error("cannot unpack " + name_ + ": " + why);
    }
    [[noreturn]] void refuse_member(std::string path, const std::string& why) const {
        std::ranges::replace_if(
            path, [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
        refuse("its member \"" + path.substr(0, longest_name) + "\" " + why);
    }
    [[noreturn]] void refuse_as_corrupt() const {
        const char* text = archive_error_string(reader_.get());
        if (archive_errno(reader_.get()) == ENOMEM) refuse("it wants too much memory");
        refuse(std::string("it is cut, corrupt or no tar archive") +
               (text == nullptr ? "" : std::string(" (") + text + ")"));
    }
    [[noreturn]] static void cannot_write(const fs::path& file, int code) {
        throw environment_error("cannot write " + file.string() + ": " + std::strerror(code));
    }

    void take(archive_entry* entry) {
        const char* const stated = archive_entry_pathname(entry);
        const std::string path = stated == nullptr ? "" : stated;
        const mode_t type = archive_entry_filetype(entry);
        if (archive_entry_hardlink(entry) != nullptr || type == AE_IFLNK)
            refuse_member(path, "is a link: only files and folders are expected");
        if (type != AE_IFREG && type != AE_IFDIR)
            refuse_member(path, "is a device or the like: only files and folders are expected");
        std::vector<std::string_view> parts = safe_parts(path);
        const bool top = path == "." || path == "./"; // tar's own way to begin
        if (parts.empty() && !top)
            refuse_member(path, "has a path that leads elsewhere: only paths below its top are expected");
        if (const std::int64_t size = archive_entry_size(entry);
            size < 0 || static_cast<std::uint64_t>(size) > limits_.bytes)
            refuse_size();
        check_size();
        if (parts.size() < inside_.size() || !std::equal(inside_.begin(), inside_.end(), parts.begin()))
            return; // next_header passes over its bytes
        parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(inside_.size()));
        const std::size_t folders = type == AE_IFDIR ? parts.size() : parts.size() - (parts.empty() ? 0 : 1);
        fs::path place = folder_;
        for (std::size_t i = 0; i < folders; ++i) make_folder(place /= parts[i], path);
        if (type == AE_IFDIR) return;
        if (parts.empty()) refuse_member(path, "is a file where a folder is expected");
        write(place / parts.back(), path);
    }

    // No links are ever made, so what is there is a folder of ours or a file of ours.
    void make_folder(const fs::path& place, const std::string& path) const {
        if (::mkdir(place.c_str(), 0755) == 0) return;
        const int code = errno;
        std::error_code error;
        if (code != EEXIST) cannot_write(place, code);
        if (!fs::is_directory(fs::symlink_status(place, error)))
            refuse_member(path, "lies below another member that is a file");
    }

    void write(const fs::path& place, const std::string& path) {
        descriptor file(::open(place.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
        if (file.get() < 0 && errno == EEXIST) refuse_member(path, "is there twice");
        if (file.get() < 0) cannot_write(place, errno);
        for (;;) { // holes of sparse files come as zeros, and count
            const la_ssize_t got = archive_read_data(reader_.get(), block_.data(), block_.size());
            if (got < 0) refuse_as_corrupt();
            if (got == 0) break;
            written_ += static_cast<std::uint64_t>(got);
            check_size();
            write_all(file.get(), place, std::span(block_).first(static_cast<std::size_t>(got)));
            report();
        }
        if (file.close() != 0) cannot_write(place, errno);
    }

    static void write_all(int file, const fs::path& place, std::span<const char> bytes) {
        while (!bytes.empty()) {
            const ssize_t written = ::write(file, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) cannot_write(place, errno);
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
    }

    [[noreturn]] void refuse_size() const {
        refuse("it holds more than " + std::to_string(limits_.bytes) + " bytes");
    }

    void check_size() const {
        const auto unpacked = static_cast<std::uint64_t>(archive_filter_bytes(reader_.get(), 0));
        const auto packed = static_cast<std::uint64_t>(archive_filter_bytes(reader_.get(), -1));
        if (std::max(unpacked, written_) > limits_.bytes) refuse_size();
        if (std::max(unpacked, written_) > ratio_floor &&
            static_cast<double>(std::max(unpacked, written_)) > limits_.ratio * static_cast<double>(packed))
            refuse("it unpacks to more than " + std::to_string(static_cast<int>(limits_.ratio)) +
                   " times its size");
    }

    void report() {
        listener_.throw_if_stopping();
        const auto now = std::chrono::steady_clock::now();
        if (now - reported_ < std::chrono::milliseconds(200)) return;
        reported_ = now;
        const auto packed = static_cast<std::uint64_t>(archive_filter_bytes(reader_.get(), -1));
        const double seconds = std::chrono::duration<double>(now - begun_).count();
        listener_.progress({.what = "unpacking " + fs::path(name_).filename().string(),
                            .done = packed,
                            .total = packed_size_,
                            .per_second = static_cast<double>(packed) / std::max(seconds, 1e-3)});
    }

    struct reader_deleter {
        void operator()(::archive* reader) const { archive_read_free(reader); }
    };

    const std::string name_;
    const std::vector<std::string_view> inside_;
    const fs::path& folder_;
    const archive_limits& limits_;
    const work_listener& listener_;
    std::unique_ptr<::archive, reader_deleter> reader_;
    std::vector<char> block_ = std::vector<char>(block_size);
    std::uint64_t packed_size_ = 0, members_ = 0, written_ = 0;
    std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now(), reported_ = begun_;
};

} // namespace

void unpack_archive(const fs::path& archive, std::string_view inside, const fs::path& folder,
                    const archive_limits& limits, const work_listener& listener) {
    unpacker(archive, inside, folder, limits, listener).run();
}

} // namespace petnet::data
