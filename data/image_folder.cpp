// SPDX-License-Identifier: Apache-2.0
#include "data/image_folder.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "data/decode.hpp"
#include "data/parallel.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace petnet::data {
namespace {

namespace fs = std::filesystem;

// What the first look at a file found.
struct candidate {
    photo_entry entry;
    image_format format = image_format::none;
    std::string unreadable; // why, where it cannot be read
};

bool named_like_a_photograph(std::string_view name) {
    const std::size_t slash = name.find_last_of('/');
    const std::string_view file = slash == std::string_view::npos ? name : name.substr(slash + 1);
    const std::size_t dot = file.find_last_of('.');
    // A leading dot marks a hidden file, such as the resource forks that macOS leaves beside photographs.
    if (dot == std::string_view::npos || file.front() == '.') return false;
    std::string extension(file.substr(dot + 1));
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    constexpr std::array<std::string_view, 5> known{"jpg", "jpeg", "png", "gif", "bmp"};
    return std::find(known.begin(), known.end(), extension) != known.end();
}

[[noreturn]] void cannot_read(const fs::path& path, const std::error_code& code) {
    throw input_error("cannot read " + path.string() + ": " + code.message());
}

// Folders are walked by hand: recursive_directory_iterator would build a whole path for each file.
void list_files(const fs::path& folder, const std::string& prefix, std::vector<candidate>& found) {
    std::error_code code;
    fs::directory_iterator entries(folder, code);
    if (code) cannot_read(folder, code);
    for (const fs::directory_iterator end; entries != end; entries.increment(code)) {
        const std::string name = prefix + entries->path().filename().string();
        std::error_code of_entry;
        const bool link = entries->is_symlink(of_entry);
        if (entries->is_directory(of_entry)) {
            if (!link) list_files(entries->path(), name + '/', found);
        } else if (entries->is_regular_file(of_entry) || (link && !entries->exists(of_entry))) {
            found.push_back({{name, 0}, image_format::none, {}}); // or a link to what cannot be reached
        }
        if (code) break;
    }
    if (code) cannot_read(folder, code);
}

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
    file.format = format_of(std::span(start).first(static_cast<std::size_t>(got)));
}

std::string why_broken(const candidate& file) {
    if (!file.unreadable.empty()) return "cannot be read: " + file.unreadable;
    return file.entry.bytes == 0 ? "the file is empty" : "not a JPEG, PNG, GIF or BMP image";
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
    result.root = fs::is_directory(folder / "images", code) ? folder / "images" : folder;
    std::vector<candidate> files;
    list_files(result.root, "", files);
    std::sort(files.begin(), files.end(),
              [](const candidate& a, const candidate& b) { return a.entry.name < b.entry.name; });
    for_each_in_parallel(files.size(), 256, threads, [&](std::size_t i) { look_at(result.root, files[i]); });
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
                          " (JPEG, PNG, GIF or BMP files were expected; " + std::to_string(files.size()) +
                          " other files are there" +
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
