// SPDX-License-Identifier: Apache-2.0
// From photographs of many senders at once to logits: a bounded queue, a few threads that decode, and
// copies of the network that take what is ready in batches.
#pragma once

#include "infer/classifier.hpp"
#include "serve/metrics.hpp"
#include "serve/sent_photos.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace petnet::serve {

struct scorer_limits {
    // A batch begins when so many photographs are ready, or the first of them has waited so long, or no other
    // is on its way.
    std::size_t batch = 16;
    std::chrono::milliseconds wait{5};
    std::size_t queue = 256; // photographs admitted and not answered yet, those in the network included
    unsigned decoders = 0;   // threads; 0: one for each core
};

// Of one photograph: the logits, in the order of the model's classes, or why there are none.
struct photo_answer {
    std::vector<float> logits;
    std::string problem;
    bool ours = false; // the problem: the machine failed, not the photograph
};

class scorer {
  public:
    scorer(const scorer_limits& limits, metrics& counts) : limits_(limits), counts_(counts) {}
    scorer(const scorer&) = delete; // threads wait in it
    scorer& operator=(const scorer&) = delete;

    // Places in the queue, given back with it.
    class admission {
      public:
        admission(admission&& other) noexcept
            : queue_(std::exchange(other.queue_, nullptr)), places_(std::exchange(other.places_, 0)) {}
        admission& operator=(admission&&) = delete;
        ~admission();
        // Takes or gives back places until there are as many; false, with those it had, where they are not
        // there.
        [[nodiscard]] bool resize(std::size_t places);

      private:
        friend class scorer;
        admission(scorer& queue, std::size_t places) : queue_(&queue), places_(places) {}
        scorer* queue_;
        std::size_t places_;
    };

    // Nothing where the queue is full. Whoever holds an admission is on its way: batches wait for it a
    // little.
    [[nodiscard]] std::optional<admission> admit();
    // Seconds until there will be room, by the rate of the last batches; 1 at least.
    [[nodiscard]] int seconds_until_room() const;

    // The answers for `photos`, which use up the places, one each; waits for them. Only while run() runs.
    [[nodiscard]] std::vector<photo_answer> score(std::span<const sent_photo> photos, admission places);

    // Decodes what comes, on threads of its own, and classifies it on the caller's, until `stop_requested`
    // and all that was admitted has left; asks a few times a second.
    void run(infer::classifier& model, const std::function<bool()>& stop_requested);
    // Classifies with another copy of the network beside run(), until the same.
    void help(infer::classifier& model, const std::function<bool()>& stop_requested);

    [[nodiscard]] std::size_t admitted() const;
    [[nodiscard]] const scorer_limits& limits() const { return limits_; }

  private:
    using clock = std::chrono::steady_clock;
    // The photographs of one call of score().
    struct call {
        std::size_t missing;
        std::condition_variable complete;
    };
    struct job {
        const sent_photo* photo = nullptr;
        photo_answer* answer = nullptr;
        call* of = nullptr;
        std::vector<std::uint8_t> square{};
        clock::time_point ready{};
    };

    void decode(const infer::classifier& model, const std::stop_token& stop);
    [[nodiscard]] std::vector<job> next_batch();
    void classify(infer::classifier& model, std::vector<job> batch, std::vector<std::uint8_t>& squares);
    void finish(job& done);

    scorer_limits limits_;
    metrics& counts_;
    mutable std::mutex mutex_; // of all that follows, and of every `call`
    std::condition_variable_any to_decode_changed_;
    std::condition_variable ready_changed_;
    std::deque<job> to_decode_, ready_;
    std::size_t admitted_ = 0;
    std::size_t in_network_ = 0;        // of those admitted
    std::size_t networks_ = 0;          // that work
    double seconds_per_photograph_ = 0; // of the last batches, of one network
};

} // namespace petnet::serve
