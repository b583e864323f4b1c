// SPDX-License-Identifier: Apache-2.0
// The photographs of a folder, decoded at first touch and kept half resized: in memory as far as they fit,
// beyond that in a file, which later runs use too.
#pragma once

#include "data/image_folder.hpp"
#include "data/photo_file.hpp"
#include "data/pixel_file.hpp"
#include "data/resize.hpp"

#include <atomic>
#include <cstddef>
#include <filesystem>
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
    orientation turned = orientation::as_stored;
    // Bytes of pixels kept in memory. Nothing: half of what the process may use.
    std::optional<std::size_t> memory_limit;
    // Pixels beyond it go to a file in cache_folder/pixels, which every photograph that is decoded from then
    // on is added to; one that is there from an earlier run is used at once. Empty, or where it cannot be
    // written: photographs beyond the limit are decoded again whenever they are needed.
    std::filesystem::path cache_folder;
    bool hash_contents = true; // for data_hash()
};

// What is known of a photograph that was read once, here or by another process of the same training.
struct photo_finding {
    std::size_t index = 0;
    std::string content_hash; // SHA-256, empty without hash_contents; of a broken one something else
    std::string broken;       // why; empty: it is sound
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

    // Why the cache folder takes no more pixels; nothing while it does.
    [[nodiscard]] std::optional<std::string> cache_failure() const;

    // Lower-case hexadecimal SHA-256 over the names and the SHA-256 of the contents of all photographs, in
    // the order of names. Nothing until each has been read once, or without hash_contents.
    [[nodiscard]] std::optional<std::string> data_hash() const;

    // Of every photograph that was read. What other processes found can be learned here: broken() and
    // data_hash() are of all of them then. learn: input_error once more are broken than tolerated.
    [[nodiscard]] std::vector<photo_finding> findings() const;
    void learn(const photo_finding& finding);

  private:
    enum class state : std::uint8_t { unseen, kept, filed, not_kept, broken };
    struct slot {
        std::atomic<state> seen = state::unseen;
        std::shared_ptr<const half_resized> pixels; // written once, before `seen` becomes kept
    };

    template <class make_type>
    std::shared_ptr<const half_resized> unless_broken(std::size_t index, const make_type& make);
    [[nodiscard]] std::shared_ptr<const half_resized> resized(std::size_t index,
                                                              const photo_file& file) const;
    std::shared_ptr<const half_resized> first_look(std::size_t index);
    bool reserve_memory(std::size_t bytes) noexcept;
    void remember_broken(std::size_t index, const std::string& reason);
    void count_seen();

    image_folder folder_;
    store_options options_;
    std::size_t memory_limit_;
    std::optional<pixel_file> pixel_file_;
    std::vector<slot> slots_;
    std::atomic<std::size_t> unseen_;
    std::atomic<std::size_t> bytes_kept_ = 0;
    mutable std::mutex mutex_; // guards what follows, and the change of a slot
    std::vector<broken_photo> broken_;
    std::vector<std::string> content_hashes_; // of files; written once, before the slot is seen
};

} // namespace petnet::data
