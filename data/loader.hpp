// SPDX-License-Identifier: Apache-2.0
// Batches of photographs, prepared ahead of the training step by worker threads: finished squares, or what a
// consumer that cuts them itself lacks.
#pragma once

#include "data/photo_store.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

namespace petnet::data {

// How a photograph is delivered.
enum class photo_form : std::uint8_t {
    square, // cut
    whole,  // half resized, to be cut by the consumer
    known,  // not at all: the consumer has it, half resized
};

// `count` photographs; the vectors hold exactly that many, but for the pixels.
struct photo_batch {
    std::size_t number = 0;           // of the batch within the pass, from 0
    std::size_t count = 0;            // photographs in it
    std::vector<std::size_t> indices; // into image_folder::photos
    std::vector<std::int32_t> labels;
    std::vector<photo_form> forms;
    std::vector<double> fractions;                          // of the free axis, at which each is cut
    std::vector<std::shared_ptr<const half_resized>> whole; // null where the form is another
    std::vector<std::uint8_t> pixels; // of the squares in turn: (squares, size, size, 3), row-major, RGB
};

// One pass over photographs.
enum class pass : std::uint8_t {
    train, // random cuts; the last partial batch is dropped; a broken photograph's place is filled
    valid, // centred cuts; the last partial batch is kept; a broken photograph is left out
};

struct loader_options {
    std::size_t batch_size = 64;
    std::uint64_t seed = 42;
    std::uint64_t epoch = 0;     // counted over the whole run: keys the cuts
    std::size_t first_batch = 0; // batches before it are neither delivered nor prepared (resuming)
    unsigned threads = 0;        // worker threads; 0: one for each core
    std::size_t ahead = 4;       // batches prepared ahead of the consumer
    // One of several loaders that take turns at the batches of a training pass, each in a process of its own:
    // of every `loaders` batches it delivers the one with the number `turn`. first_batch and batch_count are
    // of what each of them delivers, equally many.
    std::size_t loaders = 1, turn = 0;
    bool drawn_cuts = false; // pass::valid with the cuts of training, for augmentation at test time
    // The form in which the consumer wants this photograph; absent: all as squares. Called by the loader's
    // constructor and next(), for each place of a batch in turn, `ahead` batches before that one is
    // delivered. One that is `known` then must be so still when its batch comes.
    std::function<photo_form(std::size_t index)> form_of;
};

// Batches of a pass over `photos` photographs: photos / batch_size, rounded down to train, up to validate. 0
// in training where there are fewer photographs than a batch holds.
[[nodiscard]] std::size_t batch_count(pass kind, std::size_t photos, std::size_t batch_size) noexcept;

// The fraction of the free axis at which a training cut is made: uniform in [0, 1), from
// random_key(seed).child("crop").child(epoch).child(name).
[[nodiscard]] double training_cut(std::uint64_t seed, std::uint64_t epoch, std::string_view name) noexcept;

// Yields batch k = photographs order[k * batch_size ...], or those of its turn. What a batch holds is a
// function of the order, the options and the set of broken photographs only, never of threads, timing or
// where the pass began:
//   training    the place of a broken photograph at position p is taken by the next sound one after p in the
//               order, cyclically (which this pass then holds twice, the second time in the form of the one
//               whose place it takes), so the number of steps never changes;
//   validation  broken photographs are left out, their batch shrinks, and an empty batch is not delivered.
// Decoding happens in the workers as batches come up, so that the first epoch's decoding overlaps with
// training.
class loader {
  public:
    // `store` and `labels` (one per photograph of the folder) must outlive the loader; `order` holds indices
    // into the folder's photographs.
    loader(photo_store& store, const std::vector<std::int32_t>& labels, std::vector<std::size_t> order,
           pass kind, const loader_options& options);
    ~loader();                      // stops the workers at once: waits for at most one photograph in each
    loader(const loader&) = delete; // owns threads that point to it
    loader& operator=(const loader&) = delete;

    // Waits for the next batch and swaps it into `batch`, whose storage is used again; false after the last.
    // Throws what a worker threw (input_error where too many photographs are broken); then the pass is over.
    // One consumer.
    [[nodiscard]] bool next(photo_batch& batch);

    [[nodiscard]] std::size_t batches() const noexcept { return batches_; }
    [[nodiscard]] double seconds_waited() const noexcept { return seconds_waited_; } // by next(), so far

  private:
    struct open_batch {
        photo_batch batch;
        std::vector<std::size_t> squares;  // per place: which of the batch's squares would be its own
        std::vector<std::uint8_t> present; // per place: holds a photograph
        std::size_t unclaimed = 0;         // next place to prepare
        std::size_t unfinished = 0;        // places not ready yet
    };

    void work(const std::stop_token& stop);
    void prepare(open_batch& open, std::size_t place);
    void close_gaps(open_batch& ready) const;
    void open_batches();
    void open_places(open_batch& opened, std::size_t number);
    [[nodiscard]] std::size_t square_bytes() const noexcept;
    [[nodiscard]] std::size_t places_of(std::size_t batch) const noexcept;
    [[nodiscard]] std::size_t first_position(std::size_t batch) const noexcept; // in the order

    photo_store& store_;
    const std::vector<std::int32_t>& labels_;
    std::vector<std::size_t> order_;
    pass kind_;
    loader_options options_;
    std::size_t batches_;
    double seconds_waited_ = 0;

    std::mutex mutex_;                       // guards what follows
    std::condition_variable_any work_ready_; // for workers: a place to prepare, or stop
    std::condition_variable batch_ready_;    // for the consumer: the oldest batch is complete, or a failure
    std::deque<open_batch> open_;            // in order; deque: references stay valid at both ends
    std::vector<photo_batch> spare_;         // storage to use again
    std::size_t next_to_open_ = 0;
    std::exception_ptr failure_;
    std::vector<std::jthread> workers_; // last: joined before the rest goes
};

} // namespace petnet::data
