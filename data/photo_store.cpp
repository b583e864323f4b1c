// SPDX-License-Identifier: Apache-2.0
#include "data/photo_store.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "data/memory_limit.hpp"
#include "data/photo_file.hpp"
#include "data/resized_photo.hpp"

#include <algorithm>
#include <utility>

namespace petnet::data {
namespace {

// Where its pixels are, in the cache folder: the same for the same folder, so that files of photographs that
// changed there are used again for those that did not.
std::string pixel_file_name(const image_folder& folder, const store_options& options) {
    std::error_code error;
    std::filesystem::path place = std::filesystem::canonical(folder.root, error);
    if (error) place = folder.root;
    const std::string text = place.string();
    return sha256(std::as_bytes(std::span(text))).substr(0, 16) + "-" + std::to_string(options.image_size) +
           (options.turned == orientation::by_exif ? "-exif" : "");
}

} // namespace

photo_store::photo_store(image_folder folder, const store_options& options)
    : folder_(std::move(folder)),
      options_(options),
      memory_limit_(options.memory_limit.value_or(memory_limit() / 2)),
      slots_(folder_.photos.size()),
      unseen_(folder_.photos.size()),
      broken_(folder_.broken) {
    if (!options_.cache_folder.empty())
        pixel_file_.emplace(pixel_file_options{.folder = options_.cache_folder / "pixels",
                                               .name = pixel_file_name(folder_, options_),
                                               .image_size = options_.image_size});
    if (options_.hash_contents || pixel_file_) content_hashes_.resize(folder_.photos.size());
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
    case state::filed:
        if (auto found = pixel_file_->find(content_hashes_[index]))
            return std::make_shared<half_resized>(std::move(*found));
        [[fallthrough]];
    case state::not_kept:
        return unless_broken(index, [&](const photo_file& file) { return resized(index, file); });
    case state::unseen:
        break;
    }
    return first_look(index);
}

// What `make` makes of the photograph's file; null, and remembered, where it is broken.
template <class make_type>
std::shared_ptr<const half_resized> photo_store::unless_broken(std::size_t index, const make_type& make) {
    try {
        return make(photo_file(folder_.path_of(index), folder_.photos[index].bytes, options_.turned));
    } catch (const input_error& problem) {
        remember_broken(index, problem.what());
        return nullptr;
    }
}

std::shared_ptr<const half_resized> photo_store::resized(std::size_t index, const photo_file& file) const {
    return std::make_shared<half_resized>(
        resized_photo(file.bytes(), folder_.photos[index].name, options_.image_size, options_.turned));
}

// Two threads may look at the same photograph at once; they find the same, and the first to end is
// remembered.
std::shared_ptr<const half_resized> photo_store::first_look(std::size_t index) {
    std::string hash;
    bool decoded = true;
    auto pixels = unless_broken(index, [&](const photo_file& file) {
        if (!content_hashes_.empty()) hash = sha256(file.bytes());
        auto found = pixel_file_ ? pixel_file_->find(hash) : std::nullopt;
        decoded = !found;
        return found ? std::make_shared<half_resized>(std::move(*found)) : resized(index, file);
    });
    if (pixels == nullptr) return nullptr;

    const std::size_t bytes = pixels->pixels.size();
    const bool fits = reserve_memory(bytes);
    // Where the file is in use at all it takes every photograph, also those that fit into memory.
    const bool to_file = pixel_file_ && (!fits || !pixel_file_->empty());
    const bool filed = to_file && (!decoded || pixel_file_->add(hash, *pixels));
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        slot& place = slots_[index];
        first = place.seen.load(std::memory_order_relaxed) == state::unseen;
        if (first) {
            if (!content_hashes_.empty()) content_hashes_[index] = std::move(hash);
            if (fits) place.pixels = pixels;
            place.seen.store(fits    ? state::kept
                             : filed ? state::filed
                                     : state::not_kept,
                             std::memory_order_release);
        }
    }
    if (fits && !first) bytes_kept_ -= bytes;
    if (first) count_seen();
    return pixels;
}

bool photo_store::reserve_memory(std::size_t bytes) noexcept {
    std::size_t kept = bytes_kept_.load();
    while (bytes <= memory_limit_ - std::min(memory_limit_, kept))
        if (bytes_kept_.compare_exchange_weak(kept, kept + bytes)) return true;
    return false;
}

void photo_store::count_seen() {
    if (--unseen_ == 0 && pixel_file_) pixel_file_->remove_where_mostly_unused();
}

std::optional<std::string> photo_store::cache_failure() const {
    return pixel_file_ ? pixel_file_->failure() : std::nullopt;
}

void photo_store::remember_broken(std::size_t index, const std::string& reason) {
    const std::lock_guard lock(mutex_);
    slot& place = slots_[index];
    const state before = place.seen.load(std::memory_order_relaxed);
    if (before == state::broken) return;
    place.seen.store(state::broken, std::memory_order_release);
    if (before == state::unseen) count_seen();
    // A broken photograph is part of what the folder holds: its name and size stand for its content.
    if (!content_hashes_.empty() && content_hashes_[index].empty())
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
    if (!options_.hash_contents) return {};
    std::string text;
    for (std::size_t i = 0; i < content_hashes_.size(); ++i) {
        if (content_hashes_[i].empty()) return {};
        text += folder_.photos[i].name + '\0' + content_hashes_[i] + '\n';
    }
    return sha256(std::as_bytes(std::span(text)));
}

std::vector<photo_finding> photo_store::findings() const {
    const std::lock_guard lock(mutex_);
    std::vector<photo_finding> all;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        const state seen = slots_[i].seen.load(std::memory_order_relaxed);
        if (seen == state::unseen) continue;
        photo_finding& found = all.emplace_back();
        found.index = i;
        if (!content_hashes_.empty()) found.content_hash = content_hashes_[i];
        if (seen != state::broken) continue;
        const auto named = [&](const broken_photo& photo) { return photo.name == folder_.photos[i].name; };
        found.broken = std::ranges::find_if(broken_, named)->reason;
    }
    return all;
}

void photo_store::learn(const photo_finding& finding) {
    if (!finding.broken.empty()) return remember_broken(finding.index, finding.broken);
    const std::lock_guard lock(mutex_);
    if (!content_hashes_.empty() && content_hashes_.at(finding.index).empty())
        content_hashes_[finding.index] = finding.content_hash;
}

} // namespace petnet::data
