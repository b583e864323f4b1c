// SPDX-License-Identifier: Apache-2.0
#include "serve/scorer.hpp"

#include "data/photo_file.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <exception>
#include <stdexcept>
#include <thread>

namespace petnet::serve {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

// The classifier's plans hold 1, 2, 4, ... photographs and cost as much whether they are full or not: a
// quarter may be empty, else the rest waits for the next batch.
std::size_t worthwhile(std::size_t ready, std::size_t most) {
    if (ready >= most) return most;
    const std::size_t plan = std::bit_ceil(ready);
    return 4 * ready >= 3 * plan ? ready : plan / 2;
}

} // namespace

scorer::admission::~admission() {
    if (queue_ == nullptr) return;
    (void)resize(0);
}

bool scorer::admission::resize(std::size_t places) {
    const std::lock_guard lock(queue_->mutex_);
    if (places > places_ && queue_->admitted_ + (places - places_) > queue_->limits_.queue) return false;
    queue_->admitted_ += places - places_;
    places_ = places;
    queue_->ready_changed_.notify_all(); // nobody else may be on the way
    return true;
}

std::optional<scorer::admission> scorer::admit() {
    admission one(*this, 0);
    if (!one.resize(1)) return {};
    return one;
}

int scorer::seconds_until_room() const {
    const std::lock_guard lock(mutex_);
    const double rate = static_cast<double>(std::max<std::size_t>(networks_, 1));
    return std::max(
        1, static_cast<int>(std::ceil(seconds_per_photograph_ * static_cast<double>(admitted_) / rate)));
}

std::size_t scorer::admitted() const {
    const std::lock_guard lock(mutex_);
    return admitted_;
}

std::vector<photo_answer> scorer::score(std::span<const sent_photo> photos, admission places) {
    if (!places.resize(photos.size()))
        throw std::logic_error("score: a place for each photograph was expected");
    std::vector<photo_answer> answers(photos.size());
    call mine{photos.size(), {}};
    std::unique_lock lock(mutex_);
    places.places_ = 0; // from here on finish() gives them back
    for (std::size_t i = 0; i < photos.size(); ++i)
        to_decode_.push_back({.photo = &photos[i], .answer = &answers[i], .of = &mine});
    to_decode_changed_.notify_all();
    mine.complete.wait(lock, [&] { return mine.missing == 0; });
    return answers;
}

void scorer::finish(job& done) {
    --admitted_;
    if (--done.of->missing == 0) done.of->complete.notify_one();
}

void scorer::run(infer::classifier& model, const std::function<bool()>& stop_requested) {
    std::vector<std::jthread> decoders;
    const unsigned threads =
        limits_.decoders > 0 ? limits_.decoders : std::max(1U, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < threads; ++i)
        decoders.emplace_back([this, &model](const std::stop_token& stop) { decode(model, stop); });
    help(model, stop_requested);
}

void scorer::help(infer::classifier& model, const std::function<bool()>& stop_requested) {
    {
        const std::lock_guard lock(mutex_);
        ++networks_;
    }
    std::vector<std::uint8_t> squares; // kept from batch to batch
    while (!stop_requested() || admitted() > 0)
        if (std::vector<job> batch = next_batch(); !batch.empty()) classify(model, std::move(batch), squares);
}

void scorer::decode(const infer::classifier& model, const std::stop_token& stop) {
    const data::orientation turned =
        model.description().turned_by_exif ? data::orientation::by_exif : data::orientation::as_stored;
    std::unique_lock lock(mutex_);
    for (;;) {
        if (!to_decode_changed_.wait(lock, stop, [this] { return !to_decode_.empty(); })) return;
        job next = std::move(to_decode_.front());
        to_decode_.pop_front();
        lock.unlock();

        const clock::time_point start = clock::now();
        std::string problem;
        try {
            const std::span<const std::byte> bytes = next.photo->bytes;
            const data::decode_share share(data::decode_bytes(bytes, turned));
            next.square.resize(model.square_bytes());
            model.make_square(bytes, next.photo->file, next.square);
        } catch (const data::decode_error& e) {
            problem = e.what();
        } catch (const std::exception& e) { // no memory
            problem = next.photo->file + ": " + e.what();
            next.answer->ours = true;
        }
        counts_.count_decoding(seconds_since(start));

        lock.lock();
        if (problem.empty()) {
            next.ready = clock::now();
            ready_.push_back(std::move(next));
            ready_changed_.notify_all();
        } else {
            next.answer->problem = std::move(problem);
            finish(next);
            ready_changed_.notify_all(); // nobody else may be on the way
        }
    }
}

std::vector<scorer::job> scorer::next_batch() {
    constexpr std::chrono::milliseconds a_while(100);
    std::unique_lock lock(mutex_);
    if (!ready_changed_.wait_for(lock, a_while, [this] { return !ready_.empty(); })) return {};
    ready_changed_.wait_until(lock, ready_.front().ready + limits_.wait, [this] {
        return ready_.empty() || ready_.size() >= limits_.batch || admitted_ <= ready_.size() + in_network_;
    });
    if (ready_.empty()) return {}; // another network took them all
    std::vector<job> batch;
    for (std::size_t left = worthwhile(ready_.size(), limits_.batch); left > 0; --left) {
        batch.push_back(std::move(ready_.front()));
        ready_.pop_front();
    }
    in_network_ += batch.size();
    return batch;
}

void scorer::classify(infer::classifier& model, std::vector<job> batch, std::vector<std::uint8_t>& squares) {
    const clock::time_point start = clock::now();
    const std::size_t bytes = model.square_bytes();
    squares.resize(batch.size() * bytes);
    for (std::size_t i = 0; i < batch.size(); ++i)
        std::ranges::copy(batch[i].square, squares.begin() + static_cast<std::ptrdiff_t>(i * bytes));
    std::vector<float> logits;
    std::string problem;
    try {
        logits = model.classify(squares);
    } catch (const std::exception& e) { // the device, or its memory
        problem = e.what();
    }
    const double seconds = seconds_since(start);
    counts_.count_batch(batch.size(), seconds);

    const std::lock_guard lock(mutex_);
    in_network_ -= batch.size();
    const double each = seconds / static_cast<double>(batch.size());
    seconds_per_photograph_ =
        seconds_per_photograph_ == 0 ? each : 0.8 * seconds_per_photograph_ + 0.2 * each;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        photo_answer& answer = *batch[i].answer;
        if (problem.empty()) {
            const auto mine = std::span(logits).subspan(i * model.classes(), model.classes());
            answer.logits.assign(mine.begin(), mine.end());
        } else {
            answer.problem = problem;
            answer.ours = true;
        }
        finish(batch[i]);
    }
}

} // namespace petnet::serve
