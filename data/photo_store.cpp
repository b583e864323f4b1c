// SPDX-License-Identifier: Apache-2.0
#include "data/photo_store.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"

#include <algorithm>
#include <condition_variable>
#include <unistd.h>
#include <utility>

namespace petnet::data {
namespace {

constexpr std::size_t largest_file = 256 * 1024 * 1024;

std::size_t half_of_memory() {
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_bytes = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0) return std::size_t{1} << 30;
    return static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_bytes) / 2;
}

// A share of the memory that all threads of the process may take for files and their decoding:
// max_decode_bytes together, so that a folder of huge pictures takes as much as one of them. Small
// photographs never wait.
class decode_share {
  public:
    explicit decode_share(std::size_t bytes) { wait_for(bytes); }
    ~decode_share() { release(); }
    decode_share(const decode_share&) = delete; // counted
    decode_share& operator=(const decode_share&) = delete;

    // Makes the share larger where that needs no waiting: who waits with a share in hand may wait for another
    // that does the same.
    [[nodiscard]] bool grow_to(std::size_t bytes) {
        bytes = std::min(bytes, max_decode_bytes);
        const std::lock_guard lock(mutex());
        if (bytes > bytes_ && taken() + bytes - bytes_ > max_decode_bytes) return false;
        taken() += bytes - bytes_;
        bytes_ = bytes;
        return true;
    }
    // Gives the share back and waits for another one.
    void exchange_for(std::size_t bytes) {
        release();
        wait_for(bytes);
    }

  private:
    void wait_for(std::size_t bytes) {
        bytes = std::min(bytes, max_decode_bytes);
        std::unique_lock lock(mutex());
        freed().wait(lock, [bytes] { return taken() + bytes <= max_decode_bytes; });
        taken() += bytes;
        bytes_ = bytes;
    }
    void release() {
        {
            const std::lock_guard lock(mutex());
            taken() -= std::exchange(bytes_, 0);
        }
        freed().notify_all();
    }
    static std::mutex& mutex() {
        static std::mutex it;
        return it;
    }
    static std::condition_variable& freed() {
        static std::condition_variable it;
        return it;
    }
    static std::size_t& taken() {
        static std::size_t it = 0;
        return it;
    }
    std::size_t bytes_ = 0;
};

// A photograph's file, with the share of memory that it and its decoding take.
struct counted_file {
    decode_share share;
    std::vector<std::byte> bytes;

    // `expected` is the file's size when the folder was listed.
    counted_file(const std::filesystem::path& path, std::size_t expected)
        : share(expected), bytes(read_file(path, std::min(largest_file, std::max(expected, small_file)))) {
        const std::size_t needed = bytes.size() + decode_bytes(bytes);
        if (share.grow_to(needed)) return;
        bytes = std::vector<std::byte>(); // {} alone would keep the storage
        share.exchange_for(needed);
        bytes = read_file(path, std::max(expected, small_file));
    }

  private:
    // A file that has grown since is read as long as it is none that anybody need count.
    static constexpr std::size_t small_file = 4 * 1024 * 1024;
};

} // namespace

photo_store::photo_store(image_folder folder, const store_options& options)
    : folder_(std::move(folder)),
      options_(options),
      slots_(folder_.photos.size()),
      broken_(folder_.broken),
      content_hashes_(options.hash_contents ? folder_.photos.size() : 0) {
    if (options_.memory_limit == 0) options_.memory_limit = half_of_memory();
    require_few_broken(folder_.root, broken_, folder_.photos.size() + folder_.broken.size(),
                       options_.max_broken);
}

std::shared_ptr<const half_resized> photo_store::photo(std::size_t index) {
    const slot& place = slots_.at(index);
    switch (place.seen.load(std::memory_order_acquire)) {
    case state::kept:
        return place.pixels;
    case state::broken:
        return nullptr;
    case state::not_kept:
        return read(index, false);
    case state::unseen:
        break;
    }
    return read(index, true);
}

// Two threads may read the same photograph at once; they find the same, and the first to end is remembered.
std::shared_ptr<const half_resized> photo_store::read(std::size_t index, bool first_time) {
    // The full-size pixels are dropped at once: their storage, kept by each thread, saves mapping it anew.
    thread_local rgb_image image;
    constexpr std::size_t storage_kept = 64 * 1024 * 1024;
    std::shared_ptr<const half_resized> pixels;
    std::string hash;
    try {
        const counted_file file(folder_.path_of(index), folder_.photos[index].bytes);
        const std::vector<std::byte>& bytes = file.bytes;
        if (first_time && options_.hash_contents) hash = sha256(bytes);
        try {
            decode(bytes, folder_.photos[index].name, image);
            if (half_resized_bytes(image.width, image.height, options_.image_size) + image.pixels.size() +
                    bytes.size() >
                max_decode_bytes)
                throw decode_error(folder_.photos[index].name + ": its sides differ too much to resize it");
            pixels = std::make_shared<half_resized>(resize_covered_axis(image, options_.image_size));
        } catch (const input_error&) {
            if (image.pixels.capacity() > storage_kept) image = {};
            throw;
        }
        if (image.pixels.capacity() > storage_kept) image = {};
    } catch (const input_error& problem) {
        remember_broken(index, problem.what());
        return nullptr;
    }
    if (!first_time) return pixels;

    const std::lock_guard lock(mutex_);
    slot& place = slots_[index];
    if (place.seen.load(std::memory_order_relaxed) != state::unseen) return pixels;
    if (options_.hash_contents) content_hashes_[index] = std::move(hash);
    const std::size_t bytes = pixels->pixels.size();
    if (bytes_kept_ + bytes > options_.memory_limit) {
        place.seen.store(state::not_kept, std::memory_order_release);
        return pixels;
    }
    bytes_kept_ += bytes;
    place.pixels = pixels;
    place.seen.store(state::kept, std::memory_order_release);
    return pixels;
}

void photo_store::remember_broken(std::size_t index, const std::string& reason) {
    const std::lock_guard lock(mutex_);
    slot& place = slots_[index];
    if (place.seen.load(std::memory_order_relaxed) == state::broken) return;
    place.seen.store(state::broken, std::memory_order_release);
    // A broken photograph is part of what the folder holds: its name and size stand for its content.
    if (options_.hash_contents && content_hashes_[index].empty())
        content_hashes_[index] = "broken " + std::to_string(folder_.photos[index].bytes);
    const broken_photo found{folder_.photos[index].name, reason};
    broken_.insert(
        std::upper_bound(broken_.begin(), broken_.end(), found,
                         [](const broken_photo& a, const broken_photo& b) { return a.name < b.name; }),
        found);
    require_few_broken(folder_.root, broken_, folder_.photos.size() + folder_.broken.size(),
                       options_.max_broken);
}

std::vector<broken_photo> photo_store::broken() const {
    const std::lock_guard lock(mutex_);
    return broken_;
}

std::optional<std::string> photo_store::data_hash() const {
    const std::lock_guard lock(mutex_);
    if (content_hashes_.empty()) return {};
    std::string text;
    for (std::size_t i = 0; i < content_hashes_.size(); ++i) {
        if (content_hashes_[i].empty()) return {};
        text += folder_.photos[i].name + '\0' + content_hashes_[i] + '\n';
    }
    return sha256(std::as_bytes(std::span(text)));
}

} // namespace petnet::data
