// SPDX-License-Identifier: Apache-2.0
#include "data/pixel_file.hpp"

#include "base/checksum.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <span>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <utility>

namespace petnet::data {
namespace {

namespace fs = std::filesystem;

// Changed whenever records or pixels change their meaning: then no older checksum fits.
constexpr std::uint64_t format_version = 2;

std::uint64_t sum_of(std::span<const std::byte> bytes) { return checksum_of(bytes, format_version); }

std::uint64_t pixel_bytes(const half_resized& photo) { return photo.pixels.size() - resize_slack; }

// False at the end of the file or on an error.
bool read_all(int file, std::span<std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t n = ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return true;
}

// The system's reason, or 0.
int write_all(int file, std::span<const std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return 0;
}

std::uint64_t size_of(int file) {
    struct stat status {};
    return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size)
                                                                  : 0;
}

descriptor open_file(const fs::path& path, int flags) {
    return descriptor(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0644));
}

// A file that no name leads to.
descriptor open_nameless(const fs::path& folder) {
    descriptor file = open_file(folder, O_TMPFILE | O_RDWR);
    if (file.is_open()) return file;
    std::string name = (folder / "pixels.XXXXXX").string(); // a file system without O_TMPFILE
    file = descriptor(::mkostemp(name.data(), O_CLOEXEC));
    if (file.is_open()) ::unlink(name.c_str());
    return file;
}

} // namespace

// As it lies in the index: x86-64's order of bytes, and no padding.
struct pixel_file::record {
    std::array<char, 64> content{};
    std::uint64_t offset = 0; // in the file of pixels
    std::uint64_t pixels = 0; // their checksum
    std::uint32_t size = 0, width = 0, height = 0, reserved = 0;
    std::uint64_t checksum = 0; // of all before

    [[nodiscard]] std::uint64_t right_checksum() const {
        return sum_of(std::as_bytes(std::span(this, 1)).first(sizeof(record) - sizeof checksum));
    }
};

pixel_file::pixel_file(pixel_file_options options) : options_(std::move(options)) { open_existing(); }

fs::path pixel_file::path(const char* extension) const {
    return options_.folder / (options_.name + extension);
}

// Read-only: become_writer() opens them again where there is something to write.
void pixel_file::open_existing() {
    index_ = open_file(path(".index"), O_RDONLY);
    pixels_ = std::make_shared<descriptor>(open_file(path(".pixels"), O_RDONLY));
    if (index_.is_open() && pixels_->is_open()) read_index();
}

void pixel_file::read_index() {
    static_assert(sizeof(record) == 104);
    const auto known = std::exchange(entries_, {});
    end_ = 0;
    std::array<record, 512> block;
    std::uint64_t records = size_of(index_.get()) / sizeof(record);
    index_end_ = records * sizeof(record);
    // Asked after the index's: pixels are written before their record.
    const std::uint64_t most_pixels = size_of(pixels_->get());
    for (std::uint64_t done = 0; done < records; done += block.size()) {
        const std::span part = std::span(block).first(std::min<std::uint64_t>(block.size(), records - done));
        if (!read_all(index_.get(), std::as_writable_bytes(part), done * sizeof(record))) return;
        for (const record& each : part) {
            if (each.checksum != each.right_checksum() || each.size != options_.image_size) continue;
            if (each.width == 0 || each.height == 0) continue;
            const std::uint64_t bytes =
                half_resized_bytes(each.width, each.height, options_.image_size) - resize_slack;
            if (bytes > most_pixels || each.offset > most_pixels - bytes) continue;
            const std::string content(each.content.begin(), each.content.end());
            const auto before = known.find(content);
            entries_[content] = {.width = each.width,
                                 .height = each.height,
                                 .offset = each.offset,
                                 .checksum = each.pixels,
                                 .wanted = before != known.end() && before->second.wanted};
            end_ = std::max(end_, each.offset + bytes);
        }
    }
}

std::optional<half_resized> pixel_file::find(const std::string& content) {
    entry found;
    std::shared_ptr<const descriptor> file;
    {
        const std::lock_guard lock(mutex_);
        const auto place = entries_.find(content);
        if (place == entries_.end()) return {};
        place->second.wanted = true;
        found = place->second;
        file = found.is_private ? private_pixels_ : pixels_;
    }
    half_resized photo = half_resized_frame(found.width, found.height, options_.image_size);
    const std::span bytes = std::as_writable_bytes(std::span(photo.pixels)).first(pixel_bytes(photo));
    if (read_all(file->get(), bytes, found.offset) && sum_of(bytes) == found.checksum) return photo;
    const std::lock_guard lock(mutex_);
    entries_.erase(content);
    return {};
}

bool pixel_file::add(const std::string& content, const half_resized& photo) {
    const std::span bytes = std::as_bytes(std::span(photo.pixels)).first(pixel_bytes(photo));
    entry added{.width = photo.width, .height = photo.height, .checksum = sum_of(bytes), .wanted = true};
    std::shared_ptr<const descriptor> file;
    {
        const std::lock_guard lock(mutex_);
        if (entries_.contains(content)) return true;
        if (!failure_ && !writer_ready_) become_writer();
        if (failure_) return false;
        if (!enough_space(bytes.size())) return give_up(options_.folder, ENOSPC);
        added.is_private = !locked_;
        added.offset = end_;
        end_ += bytes.size();
        file = locked_ ? pixels_ : private_pixels_;
    }
    const int reason = write_all(file->get(), bytes, added.offset);
    const std::lock_guard lock(mutex_);
    if (reason != 0) return give_up(path(".pixels"), reason);
    if (locked_) {
        record line{.offset = added.offset,
                    .pixels = added.checksum,
                    .size = static_cast<std::uint32_t>(photo.size),
                    .width = static_cast<std::uint32_t>(photo.width),
                    .height = static_cast<std::uint32_t>(photo.height)};
        std::copy_n(content.begin(), std::min(content.size(), line.content.size()), line.content.begin());
        line.checksum = line.right_checksum();
        const int of_index = write_all(index_.get(), std::as_bytes(std::span(&line, 1)), index_end_);
        if (of_index != 0) return give_up(path(".index"), of_index);
        index_end_ += sizeof line;
    }
    entries_.insert_or_assign(content, added);
    return true;
}

// The caller holds the mutex.
void pixel_file::become_writer() {
    writer_ready_ = true;
    std::error_code error;
    fs::create_directories(options_.folder, error);
    descriptor index = open_file(path(".index"), O_RDWR | O_CREAT);
    descriptor pixels = open_file(path(".pixels"), O_RDWR | O_CREAT);
    if (index.is_open() && pixels.is_open() && ::flock(index.get(), LOCK_EX | LOCK_NB) == 0) {
        index_ = std::move(index);
        pixels_ = std::make_shared<descriptor>(std::move(pixels));
        read_index(); // again: another run may have added to it
        // What no record names was left behind by a run that was killed.
        locked_ = ::ftruncate(pixels_->get(), static_cast<off_t>(end_)) == 0;
        if (locked_) return;
    }
    end_ = 0;
    private_pixels_ = std::make_shared<descriptor>(open_nameless(options_.folder));
    if (!private_pixels_->is_open()) give_up(options_.folder, errno);
}

bool pixel_file::enough_space(std::uint64_t bytes) const {
    struct statvfs space {};
    if (::fstatvfs((locked_ ? pixels_ : private_pixels_)->get(), &space) != 0)
        return true; // writing will show
    return std::uint64_t{space.f_bavail} * space.f_frsize >= bytes + options_.left_free;
}

// The caller holds the mutex.
bool pixel_file::give_up(const fs::path& file, int reason) {
    if (!failure_) failure_ = "cannot write to " + file.string() + ": " + std::strerror(reason);
    return false;
}

bool pixel_file::empty() const {
    const std::lock_guard lock(mutex_);
    return entries_.empty();
}

std::optional<std::string> pixel_file::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

void pixel_file::remove_where_mostly_unused() {
    const std::lock_guard lock(mutex_);
    if (!writer_ready_ && index_.is_open()) become_writer();
    if (!locked_) return;
    std::uint64_t wanted = 0;
    for (const auto& [content, each] : entries_)
        if (each.wanted) wanted += half_resized_bytes(each.width, each.height, options_.image_size);
    if (wanted >= end_ / 2) return;
    ::unlink(path(".index").c_str());
    ::unlink(path(".pixels").c_str());
}

} // namespace petnet::data
