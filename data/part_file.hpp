// SPDX-License-Identifier: Apache-2.0
// A file that is collected in parts, and beside it what it is a part of.
#pragma once

#include "base/descriptor.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace petnet::data {

// The state of a file on a server that the bytes belong to.
struct part_origin {
    std::string url;                 // shown_url
    std::string etag, last_modified; // as the server gave them; empty: it did not
    std::uint64_t bytes = 0;         // of the whole file; 0: not known

    // What If-Range can name it by: an ETag that is not weak, else the date; empty: nothing.
    [[nodiscard]] const std::string& validator() const;
};

class part_file {
  public:
    // Opens FILE, or makes it. What lies there is kept where FILE.json says that it is of `url` and of which
    // state; else the file is emptied. environment_error where it cannot be written.
    part_file(std::filesystem::path file, const std::string& url);

    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] const part_origin& origin() const { return origin_; }
    [[nodiscard]] bool complete() const { return origin_.bytes > 0 && size_ == origin_.bytes; }

    void restart(part_origin origin); // empties it; from here on it is of this state
    void append(std::span<const char> bytes);
    void finish(); // these are all bytes; they are on the disk, also after a power cut

  private:
    void write_origin() const;
    [[noreturn]] void cannot_write(int code) const;

    std::filesystem::path file_;
    descriptor descriptor_;
    part_origin origin_;
    std::uint64_t size_ = 0;
};

// Removes FILE and FILE.json.
void discard_part(const std::filesystem::path& file);

} // namespace petnet::data
