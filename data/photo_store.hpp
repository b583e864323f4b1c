// SPDX-License-Identifier: Apache-2.0
// The photographs of a folder, decoded at first touch and kept in memory half resized.
#pragma once

#include "data/image_folder.hpp"
#include "data/resize.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace petnet::data {

struct store_options {
    std::size_t image_size = 224;
    // Broken photographs tolerated, as a fraction of all files that are or call themselves photographs.
    double max_broken = 0.01;
    // Pixels are kept up to this many bytes; photographs beyond it are decoded again whenever they are
    // needed. 0: half of the machine's memory.
    std::size_t memory_limit = 0;
    bool hash_contents = true; // for data_hash()
};

class photo_store {
  public:
    // input_error where the folder's broken photographs alone exceed the tolerated fraction.
    photo_store(image_folder folder, const store_options& options);

    [[nodiscard]] const image_folder& folder() const noexcept { return folder_; }
    [[nodiscard]] const store_options& options() const noexcept { return options_; }

    // The photograph, decoded now or earlier; null where it is broken. input_error once more photographs are
    // broken than tolerated. Any thread, any number at once.
    [[nodiscard]] std::shared_ptr<const half_resized> photo(std::size_t index);

    // Those found broken so far, including those found when the folder was opened; sorted by name.
    [[nodiscard]] std::vector<broken_photo> broken() const;

    [[nodiscard]] std::size_t bytes_kept() const noexcept { return bytes_kept_.load(); }

    // Lower-case hexadecimal SHA-256 over the names and the SHA-256 of the contents of all photographs, in
    // the order of names. Nothing until each has been read once, or without hash_contents.
    [[nodiscard]] std::optional<std::string> data_hash() const;

  private:
    enum class state : std::uint8_t { unseen, kept, not_kept, broken };
    struct slot {
        std::atomic<state> seen = state::unseen;
        std::shared_ptr<const half_resized> pixels; // written once, before `seen` becomes kept
    };

    std::shared_ptr<const half_resized> read(std::size_t index, bool first_time);
    void remember_broken(std::size_t index, const std::string& reason);

    image_folder folder_;
    store_options options_;
    std::vector<slot> slots_;
    std::atomic<std::size_t> bytes_kept_ = 0;
    mutable std::mutex mutex_; // guards what follows, and the change of a slot
    std::vector<broken_photo> broken_;
    std::vector<std::string> content_hashes_;
};

} // namespace petnet::data
