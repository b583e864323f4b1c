// SPDX-License-Identifier: Apache-2.0
// Half-resized photographs on disk: pixels that do not fit into memory, for this run and later ones.
//
// NAME.pixels holds the pixels of one photograph after the other, NAME.index a record of fixed size for each:
// the SHA-256 of the photograph's file, its size, the place and a checksum of its pixels. A photograph is
// found by its content, so that one that was changed is never taken for what it was, whatever its name, size
// and time say.
//
// Any number of runs may use the same files. One holds a lock and appends; what a record names is not written
// again. The others read what was there when they began and put what they add into a file without a name,
// which goes with them. Pixels are read, not mapped: a map of a file that somebody cuts short, or whose disk
// fails, ends the program by SIGBUS, where a read only fails. Every read is checked; what is not as it was
// written is not there.
#pragma once

#include "base/descriptor.hpp"
#include "data/resize.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace petnet::data {

struct pixel_file_options {
    std::filesystem::path folder; // made, with those above it, when there is something to write
    std::string name;             // the same name only for pixels that were made in the same way
    std::size_t image_size = 224; // half_resized::size
    // Free space that is left on the disk: checkpoints and models, of some 100 MB each, are worth more.
    std::uint64_t left_free = std::uint64_t{1} << 30;
};

class pixel_file {
  public:
    // Nothing is created before the first add(). Broken and foreign files count as empty.
    explicit pixel_file(pixel_file_options options);

    // The photograph whose file has this SHA-256 (lower-case hexadecimal); nothing where it is not there.
    // Any thread, any number at once, as for all that follows.
    [[nodiscard]] std::optional<half_resized> find(const std::string& content);

    // Adds it, unless it is there. False where it cannot be written; then nothing is from then on, and
    // failure() says why. An error of the disk is no error of the run.
    bool add(const std::string& content, const half_resized& photo);

    [[nodiscard]] bool empty() const;
    [[nodiscard]] std::optional<std::string> failure() const;

    // To be called when every photograph was asked for: removes the files where this run may write to them
    // and less than half of what they hold was wanted, so that photographs that are gone do not pile up.
    void remove_where_mostly_unused();

  private:
    struct record;
    struct entry {
        std::size_t width = 0, height = 0;
        std::uint64_t offset = 0, checksum = 0;
        bool is_private = false; // in the file without a name
        bool wanted = false;
    };

    [[nodiscard]] std::filesystem::path path(const char* extension) const;
    void open_existing();
    void read_index();
    void become_writer();
    [[nodiscard]] bool enough_space(std::uint64_t bytes) const;
    bool give_up(const std::filesystem::path& file, int reason);

    pixel_file_options options_;
    mutable std::mutex mutex_; // guards what follows, but not reading and writing pixels
    std::unordered_map<std::string, entry> entries_;
    descriptor index_;
    std::shared_ptr<const descriptor> pixels_, private_pixels_; // shared with reads under way
    bool writer_ready_ = false;                                 // become_writer() has been called
    bool locked_ = false;                                       // index_ and pixels_ are ours to append to
    std::uint64_t end_ = 0; // of the pixels in the file that is written to
    std::uint64_t index_end_ = 0;
    std::optional<std::string> failure_;
};

} // namespace petnet::data
