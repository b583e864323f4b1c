// SPDX-License-Identifier: Apache-2.0
// A classifier's answers for the photographs of a folder: decoded on all cores while the network works.
#pragma once

#include "data/photo_store.hpp"
#include "infer/classifier.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace petnet::infer {

// What fastai's learn.tta takes by default (2.8.12, learner.py).
inline constexpr std::size_t tta_passes = 4;
inline constexpr double tta_beta = 0.25;

struct answering {
    // Augmentation at test time, as learn.tta: p = lerp(mean of tta_passes augmented probabilities, those of
    // the photograph as it is, tta_beta). Augmented as training augments: by the recipe "basic" only the cut
    // is drawn, by "augmented" (classifier::samples) the cut and data/augment.hpp's transforms, of the epochs
    // 0 to tta_passes - 1 of `seed`. (learn.tta draws from Python's and PyTorch's generators: other draws of
    // the same laws.)
    bool tta = false;
    std::uint64_t seed = 42;
    unsigned threads = 0;                                                 // to decode; 0: one for each core
    std::function<void(std::size_t done, std::size_t total)> on_progress; // photographs; may be empty
    std::function<bool()> stop_requested; // asked after each batch; may be empty
};

// Squares as `model` takes them of the photographs of the folder, however many of them are broken. What is
// decoded is kept in memory for the passes of `tta`, as far as there is room, else not at all.
[[nodiscard]] data::photo_store photos_for(const classifier& model, data::image_folder folder, bool tta);

// Calls `tell` with the index and the logits of each photograph of `order` (indices into the store's folder)
// that is not broken, in that order, as they become known: after the last pass with `tta`, where the logits
// are the logarithms of the probabilities. Those that were broken are in photos.broken() afterwards. False
// where a stop was requested.
[[nodiscard]] bool
answer_photos(classifier& model, data::photo_store& photos, const std::vector<std::size_t>& order,
              const answering& how,
              const std::function<void(std::size_t photo, std::span<const float> logits)>& tell);

} // namespace petnet::infer
