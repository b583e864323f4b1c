// SPDX-License-Identifier: Apache-2.0
#include "data/image_folder.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "data/decode.hpp"
#include "data/parallel.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace petnet::data {
namespace {

namespace fs = std::filesystem;

// Of a file or folder, whatever the path to it.
using identity = std::pair<dev_t, ino_t>;

// What the first look at a file found.
struct candidate {
    photo_entry entry;
    bool is_link = false;
    image_format format = image_format::none;
    std::string unreadable; // why, where it cannot be read
    identity file{};
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower_case(std::string_view text) {
    std::string lowered(text);
    std::ranges::transform(lowered, lowered.begin(), lower);
    return lowered;
}

// By the custom of Unix, and what macOS, Windows, and the storage of Synology and QNAP leave in folders.
bool is_hidden(std::string_view name) {
    constexpr std::array<std::string_view, 11> left_by_systems{
        "__macosx",   "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",
        "lost+found", "@eadir",    "#recycle",    "@recycle",    "#snapshot"};
    return name.front() == '.' ||
           std::ranges::find(left_by_systems, lower_case(name)) != left_by_systems.end();
}

// Formats that petnet does not read are among them: such a file is lost to the training, which must be said.
bool named_like_a_photograph(std::string_view name) {
    const std::string_view file = name.substr(name.find_last_of('/') + 1);
    const std::size_t dot = file.find_last_of('.');
    if (dot == std::string_view::npos) return false;
    constexpr std::array<std::string_view, 20> known{"jpg", "jpeg", "jfif", "png",  "gif",  "bmp", "webp",
                                                     "tif", "tiff", "heic", "heif", "avif", "jxl", "jp2",
                                                     "ppm", "pgm",  "dng",  "cr2",  "nef",  "arw"};
    return std::ranges::find(known, lower_case(file.substr(dot + 1))) != known.end();
}

[[noreturn]] void cannot_read(const fs::path& path, const std::error_code& code) {
    throw input_error("cannot read " + path.string() + ": " + code.message());
}

// Folders are walked by hand: recursive_directory_iterator would build a whole path for each file.
class folder_walk {
  public:
    explicit folder_walk(fs::path root) : root_(std::move(root)) {
        enter("");
        // Links wait: a folder that lies under the root keeps its own name.
        while (!links_.empty()) {
            std::vector<std::string> names = std::exchange(links_, {});
            std::ranges::sort(names);
            for (const std::string& name : names) enter(name);
        }
    }
    std::vector<candidate> files;
    std::size_t hidden = 0, repeated = 0;

  private:
    // Lists the folder `name` below the root ("" is the root itself), unless it is listed already.
    void enter(const std::string& name) {
        const fs::path folder = root_ / name;
        struct stat status {};
        if (::stat(folder.c_str(), &status) != 0)
            cannot_read(folder, std::error_code(errno, std::generic_category()));
        if (seen_.emplace(status.st_dev, status.st_ino).second)
            list(folder, name.empty() ? name : name + '/');
        else
            ++repeated;
    }

    void list(const fs::path& folder, const std::string& prefix) {
        std::error_code code;
        fs::directory_iterator entries(folder, code);
        if (code) cannot_read(folder, code);
        for (const fs::directory_iterator end; entries != end; entries.increment(code)) {
            add(*entries, prefix);
            if (code) break;
        }
        if (code) cannot_read(folder, code);
    }

    void add(const fs::directory_entry& entry, const std::string& prefix) {
        const std::string file = entry.path().filename().string(), name = prefix + file;
        if (is_hidden(file)) {
            ++hidden;
            return;
        }
        std::error_code code;
        const bool link = entry.is_symlink(code);
        if (entry.is_directory(code)) {
            if (link)
                links_.push_back(name);
            else
                enter(name);
        } else if (entry.is_regular_file(code) || (link && !entry.exists(code))) {
            files.push_back({.entry = {name, 0}, .is_link = link}); // or a link to what cannot be reached
        }
    }

    fs::path root_;
    std::set<identity> seen_;
    std::vector<std::string> links_; // to folders, not yet followed
};

void look_at(const fs::path& root, candidate& file) {
    const std::string path = (root / file.entry.name).string();
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    std::array<std::byte, 16> start{};
    struct stat status {};
    const ssize_t got = descriptor < 0 ? -1 : ::read(descriptor, start.data(), start.size());
    const bool failed = got < 0 || ::fstat(descriptor, &status) != 0;
    const int reason = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (failed) {
        file.unreadable = std::error_code(reason, std::generic_category()).message();
        return;
    }
    file.entry.bytes = static_cast<std::uint64_t>(status.st_size);
    file.file = {status.st_dev, status.st_ino};
    file.format = format_of(std::span(start).first(static_cast<std::size_t>(got)));
}

std::string why_broken(const candidate& file) {
    if (!file.unreadable.empty()) return "cannot be read: " + file.unreadable;
    return file.entry.bytes == 0 ? "the file is empty" : std::string(no_image);
}

// Leaves out links to files that are listed by their own names too; how many.
std::size_t drop_repeated(std::vector<candidate>& files) {
    if (std::ranges::none_of(files, &candidate::is_link)) return 0;
    std::set<identity> own;
    for (const candidate& file : files)
        if (!file.is_link) own.insert(file.file);
    return std::erase_if(files, [&](const candidate& file) {
        return file.is_link && file.unreadable.empty() && own.contains(file.file);
    });
}

std::string first_reasons(const std::vector<broken_photo>& broken) {
    constexpr std::size_t shown = 3;
    std::string text;
    for (std::size_t i = 0; i < std::min(shown, broken.size()); ++i)
        text += (i == 0 ? "" : "; ") + broken[i].reason;
    return broken.size() > shown ? text + "; ..." : text;
}

} // namespace

std::string image_folder::fingerprint() const {
    std::string text;
    for (const photo_entry& photo : photos) text += photo.name + '\0' + std::to_string(photo.bytes) + '\n';
    return sha256(std::as_bytes(std::span(text)));
}

image_folder open_image_folder(const fs::path& folder, unsigned threads) {
    std::error_code code;
    const fs::file_status status = fs::status(folder, code);
    if (status.type() == fs::file_type::not_found)
        throw input_error("no such folder: " + folder.string() + " (a folder of photographs was expected)");
    if (code) cannot_read(folder, code);
    if (!fs::is_directory(status))
        throw input_error(folder.string() + " is not a folder (a folder of photographs was expected)");

    image_folder result;
    result.root = folder;
    folder_walk walk(folder);
    std::vector<candidate>& files = walk.files;
    std::ranges::sort(files, {}, [](const candidate& file) -> const std::string& { return file.entry.name; });
    for_each_in_parallel(files.size(), 256, threads, [&](std::size_t i) { look_at(result.root, files[i]); });
    result.hidden = walk.hidden;
    result.repeated = walk.repeated + drop_repeated(files);
    for (candidate& file : files) {
        if (file.format != image_format::none)
            result.photos.push_back(std::move(file.entry));
        else if (named_like_a_photograph(file.entry.name))
            result.broken.push_back({file.entry.name, file.entry.name + ": " + why_broken(file)});
        else
            result.skipped.push_back(std::move(file.entry.name));
    }
    if (result.photos.empty())
        throw input_error("no photograph in " + result.root.string() +
                          " (JPEG, PNG, GIF, BMP, WebP or TIFF files were expected; " +
                          std::to_string(files.size()) + " other files are there" +
                          (result.broken.empty() ? "" : ": " + first_reasons(result.broken)) + ")");
    return result;
}

void require_few_broken(const fs::path& folder, const std::vector<broken_photo>& broken, std::size_t total,
                        double max_fraction) {
    if (static_cast<double>(broken.size()) <= max_fraction * static_cast<double>(total)) return;
    throw input_error(std::to_string(broken.size()) + " of " + std::to_string(total) + " photographs in " +
                      folder.string() + " are broken, more than the tolerated fraction of " +
                      std::to_string(max_fraction).substr(0, 6) + ": " + first_reasons(broken));
}

} // namespace petnet::data
