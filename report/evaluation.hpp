// SPDX-License-Identifier: Apache-2.0
// What a classifier's answers are worth, given the truth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace petnet::report {

// One photograph, classified.
struct answered_photo {
    std::string name;
    std::int32_t label = 0;    // the true class
    std::vector<float> logits; // of each class
};

struct class_quality {
    std::int64_t photographs = 0; // of the class
    std::int64_t answers = 0;     // photographs that were given the class
    std::int64_t right = 0;       // both
    // right / answers, right / photographs; not a number where nothing was answered, or there is none.
    [[nodiscard]] double precision() const;
    [[nodiscard]] double recall() const;
};

// Photographs whose label got a probability in ((i) / bins, (i + 1) / bins].
struct calibration_bin {
    std::int64_t photographs = 0;
    double confidence = 0, accuracy = 0; // means over them; 0 where there are none
};

inline constexpr std::size_t calibration_bins = 15; // of equal width (Guo et al. 2017)

struct evaluation {
    std::vector<std::string> classes;
    std::int64_t photographs = 0, wrong = 0;
    double loss = 0;                     // cross-entropy, mean over the photographs
    double error_rate = 0;               // wrong / photographs
    double top5_error = 0;               // the true class is not among the five largest logits
    std::vector<std::int64_t> confusion; // (classes, classes), row-major: [true][answered]
    std::vector<class_quality> of_class; // in the order of the classes
    std::vector<calibration_bin> bins;   // calibration_bins of them
    double calibration_error = 0;        // ECE: sum over bins of photographs' share * |accuracy - confidence|
    [[nodiscard]] std::int64_t confused(std::size_t truth, std::size_t answer) const {
        return confusion[truth * classes.size() + answer];
    }
};

// Ties between logits go to the first class. At least one photograph; every photograph has a logit for each
// of the classes and a label among them, else std::logic_error.
[[nodiscard]] evaluation evaluate(std::vector<std::string> classes, std::span<const answered_photo> photos);

// log(sum over c of exp(logits[c])) - logits[label]: a photograph's part of the loss.
[[nodiscard]] double cross_entropy(const answered_photo& photo);

struct confused_pair {
    std::size_t truth = 0, answer = 0;
    std::int64_t photographs = 0;
};
// The pairs of different classes that were confused at least once, most often first, at most `most`.
[[nodiscard]] std::vector<confused_pair> most_confused(const evaluation& e, std::size_t most);

} // namespace petnet::report
