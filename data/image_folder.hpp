// SPDX-License-Identifier: Apache-2.0
// A folder of photographs: what lies in it, by content and in an order that does not depend on the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace petnet::data {

struct photo_entry {
    std::string name; // path relative to image_folder::root, '/' between folders
    std::uint64_t bytes = 0;
};

// A photograph that cannot be used, and why, in plain words that name the file.
struct broken_photo {
    std::string name;
    std::string reason;
};

struct image_folder {
    std::filesystem::path root;       // the folder listed
    std::vector<photo_entry> photos;  // sorted by name, byte-wise
    std::vector<broken_photo> broken; // named like a photograph (.jpg, .png, .heic, ...), but hold no image
                                      // that petnet reads, or cannot be read
    std::vector<std::string> skipped; // other files that are no image, sorted by name
    std::size_t hidden = 0;           // hidden files and folders, which are no data and are not looked into
    std::size_t repeated = 0;         // links to files and folders that are listed already

    [[nodiscard]] std::filesystem::path path_of(std::size_t photo) const { return root / photos[photo].name; }

    // Lower-case hexadecimal SHA-256 over names and sizes: tells cheaply whether the folder changed since,
    // without reading the photographs. Not over times: a restarted job finds its data copied anew and must
    // still continue.
    [[nodiscard]] std::string fingerprint() const;
};

// Lists the regular files under `folder`, recursively, and sorts them by their first bytes into photographs
// (JPEG, PNG, GIF, BMP, WebP, TIFF), broken ones and skipped files; file names are not trusted to say what is
// an image. What is hidden is left alone: names that begin with a dot, and what systems leave in folders
// (__MACOSX, @eaDir, Thumbs.db, ...). Links to files and to folders are followed, as fastai does. A folder is
// listed once, by its own name where it lies under `folder`, else by the first link in the order of names;
// and a link to a file that is listed by its own name is left out. A link that leads nowhere is a file that
// cannot be read. Reads at most 16 bytes of each file, on at most `threads` threads (0: one for each core);
// the result depends on neither. input_error: no such folder, a file where a folder was expected, a folder
// that cannot be read, no photograph in it.
[[nodiscard]] image_folder open_image_folder(const std::filesystem::path& folder, unsigned threads = 0);

// Refuses (input_error naming the first few and why) when broken.size() > max_fraction * total.
void require_few_broken(const std::filesystem::path& folder, const std::vector<broken_photo>& broken,
                        std::size_t total, double max_fraction);

} // namespace petnet::data
