// SPDX-License-Identifier: Apache-2.0
#include "data/loader.hpp"

#include "base/errors.hpp"
#include "base/random.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace petnet::data {

std::size_t batch_count(pass kind, std::size_t photos, std::size_t batch_size) noexcept {
    if (batch_size == 0) return 0;
    return kind == pass::train ? photos / batch_size
                               : photos / batch_size + (photos % batch_size != 0 ? 1 : 0);
}

double training_cut(std::uint64_t seed, std::uint64_t epoch, std::string_view name) noexcept {
    return random_key(seed).child("crop").child(epoch).child(name).uniform(0);
}

loader::loader(photo_store& store, const std::vector<std::int32_t>& labels, std::vector<std::size_t> order,
               pass kind, const loader_options& options)
    : store_(store),
      labels_(labels),
      order_(std::move(order)),
      kind_(kind),
      options_(options),
      batches_(batch_count(kind, order_.size(), options.batch_size * options.loaders)) {
    const std::size_t photos = store.folder().photos.size();
    if (options_.batch_size == 0 || options_.ahead == 0)
        throw std::logic_error("loader: batches of no photographs, or none ahead");
    if (options_.turn >= options_.loaders || (options_.loaders > 1 && kind == pass::valid))
        throw std::logic_error("loader: turns are for training, and one of them is this loader's");
    if (labels.size() != photos) throw std::logic_error("loader: one label for each photograph was expected");
    if (std::any_of(order_.begin(), order_.end(), [photos](std::size_t index) { return index >= photos; }))
        throw std::logic_error("loader: the order names a photograph that the folder has not");
    next_to_open_ = std::min(options_.first_batch, batches_);
    open_batches();
    const unsigned threads =
        options_.threads != 0 ? options_.threads : std::max(1U, std::thread::hardware_concurrency());
    workers_.reserve(threads);
    for (unsigned i = 0; i < threads; ++i)
        workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

loader::~loader() {
    // All at once: a jthread's own destructor would stop one and wait for it before it stops the next.
    for (std::jthread& worker : workers_) worker.request_stop();
}

std::size_t loader::places_of(std::size_t batch) const noexcept {
    return std::min(options_.batch_size, order_.size() - first_position(batch));
}

std::size_t loader::first_position(std::size_t batch) const noexcept {
    return (batch * options_.loaders + options_.turn) * options_.batch_size;
}

std::size_t loader::square_bytes() const noexcept {
    return 3 * store_.options().image_size * store_.options().image_size;
}

// Keeps `ahead` batches open. The caller holds the mutex, or is the constructor.
void loader::open_batches() {
    while (open_.size() < options_.ahead && next_to_open_ < batches_) {
        open_batch& opened = open_.emplace_back();
        if (!spare_.empty()) {
            opened.batch = std::move(spare_.back());
            spare_.pop_back();
        }
        open_places(opened, next_to_open_++);
    }
}

void loader::open_places(open_batch& opened, std::size_t number) {
    const std::size_t places = places_of(number);
    photo_batch& batch = opened.batch;
    batch.number = number;
    batch.count = places;
    batch.indices.resize(places);
    batch.labels.resize(places);
    batch.forms.resize(places);
    batch.fractions.resize(places);
    batch.whole.assign(places, nullptr);
    opened.squares.resize(places);
    std::size_t squares = 0;
    for (std::size_t place = 0; place < places; ++place) {
        const std::size_t index = order_[first_position(number) + place];
        batch.forms[place] = options_.form_of ? options_.form_of(index) : photo_form::square;
        opened.squares[place] = squares;
        if (batch.forms[place] == photo_form::square) ++squares;
    }
    batch.pixels.resize(squares * square_bytes());
    opened.present.assign(places, 0);
    opened.unfinished = places;
}

void loader::work(const std::stop_token& stop) {
    const auto has_place = [](const open_batch& open) { return open.unclaimed < open.batch.count; };
    std::unique_lock lock(mutex_);
    for (;;) {
        auto open = open_.end();
        const bool woken = work_ready_.wait(lock, stop, [&] {
            open = std::find_if(open_.begin(), open_.end(), has_place);
            return open != open_.end() || failure_ || next_to_open_ == batches_;
        });
        if (!woken || stop.stop_requested() || failure_ || open == open_.end()) return;
        open_batch& claimed = *open;
        const std::size_t place = claimed.unclaimed++;
        lock.unlock();
        std::exception_ptr failure;
        try {
            prepare(claimed, place);
        } catch (...) {
            failure = std::current_exception();
        }
        lock.lock();
        if (failure) {
            if (!failure_) failure_ = std::move(failure);
            batch_ready_.notify_one();
            work_ready_.notify_all();
            return;
        }
        if (--claimed.unfinished == 0) batch_ready_.notify_one();
    }
}

void loader::prepare(open_batch& open, std::size_t place) {
    photo_batch& batch = open.batch;
    const photo_form form = batch.forms[place];
    const std::size_t position = first_position(batch.number) + place;
    // Training looks on through the order for a sound photograph; validation only at its own position.
    const std::size_t tries = kind_ == pass::train ? order_.size() : 1;
    for (std::size_t i = 0; i < tries; ++i) {
        const std::size_t index = order_[(position + i) % order_.size()];
        std::shared_ptr<const half_resized> photo;
        if (form != photo_form::known) { // or it was sound when the consumer got it
            photo = store_.photo(index);
            if (photo == nullptr) continue;
        }
        const bool drawn = kind_ == pass::train || options_.drawn_cuts;
        const double fraction =
            drawn ? training_cut(options_.seed, options_.epoch, store_.folder().photos[index].name) : 0.5;
        if (form == photo_form::square)
            cut_square(*photo, fraction,
                       std::span(batch.pixels).subspan(open.squares[place] * square_bytes(), square_bytes()));
        else
            batch.whole[place] = std::move(photo);
        batch.indices[place] = index;
        batch.labels[place] = labels_[index];
        batch.fractions[place] = fraction;
        open.present[place] = 1;
        return;
    }
    if (kind_ == pass::train)
        throw input_error("every training photograph in " + store_.folder().root.string() + " is broken");
}

// Closes the gaps that broken photographs left.
void loader::close_gaps(open_batch& ready) const {
    photo_batch& batch = ready.batch;
    const auto square = [&](std::size_t number) {
        return batch.pixels.begin() + static_cast<std::ptrdiff_t>(number * square_bytes());
    };
    std::size_t kept = 0, squares = 0;
    for (std::size_t place = 0; place < batch.count; ++place) {
        if (ready.present[place] == 0) continue;
        if (batch.forms[place] == photo_form::square) {
            if (squares != ready.squares[place])
                std::copy_n(square(ready.squares[place]), square_bytes(), square(squares));
            ++squares;
        }
        if (kept != place) {
            batch.indices[kept] = batch.indices[place];
            batch.labels[kept] = batch.labels[place];
            batch.forms[kept] = batch.forms[place];
            batch.fractions[kept] = batch.fractions[place];
            batch.whole[kept] = std::move(batch.whole[place]);
        }
        ++kept;
    }
    batch.count = kept;
    batch.indices.resize(kept);
    batch.labels.resize(kept);
    batch.forms.resize(kept);
    batch.fractions.resize(kept);
    batch.whole.resize(kept);
    batch.pixels.resize(squares * square_bytes());
}

bool loader::next(photo_batch& batch) {
    for (;;) {
        std::unique_lock lock(mutex_);
        const auto began = std::chrono::steady_clock::now();
        batch_ready_.wait(lock,
                          [this] { return failure_ || open_.empty() || open_.front().unfinished == 0; });
        seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        if (failure_) std::rethrow_exception(failure_);
        if (open_.empty()) return false;
        open_batch ready = std::move(open_.front());
        open_.pop_front();
        spare_.push_back(std::exchange(batch, {}));
        open_batches();
        lock.unlock();
        work_ready_.notify_all();
        close_gaps(ready);
        batch = std::move(ready.batch);
        if (batch.count != 0) return true;
    }
}

} // namespace petnet::data
