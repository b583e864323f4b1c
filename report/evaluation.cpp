// SPDX-License-Identifier: Apache-2.0
#include "report/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace petnet::report {
namespace {

double ratio(std::int64_t part, std::int64_t whole) {
    return static_cast<double>(part) / static_cast<double>(whole); // 0 / 0 is not a number
}

// log(sum of exp)
double log_sum(const std::vector<float>& logits) {
    const double maximum = static_cast<double>(*std::ranges::max_element(logits));
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - maximum);
    return maximum + std::log(sum);
}

// How many classes stand before the label; ties go to the first class.
std::ptrdiff_t rank_of_label(const answered_photo& photo) {
    const auto label = static_cast<std::size_t>(photo.label);
    std::ptrdiff_t before = 0;
    for (std::size_t c = 0; c < photo.logits.size(); ++c)
        before +=
            photo.logits[c] > photo.logits[label] || (c < label && photo.logits[c] == photo.logits[label])
                ? 1
                : 0;
    return before;
}

} // namespace

double class_quality::precision() const { return ratio(right, answers); }
double class_quality::recall() const { return ratio(right, photographs); }

double cross_entropy(const answered_photo& photo) {
    return log_sum(photo.logits) -
           static_cast<double>(photo.logits.at(static_cast<std::size_t>(photo.label)));
}

evaluation evaluate(std::vector<std::string> classes, std::span<const answered_photo> photos) {
    if (photos.empty()) throw std::logic_error("evaluate: at least one photograph was expected");
    evaluation e;
    e.classes = std::move(classes);
    const std::size_t count = e.classes.size();
    e.confusion.resize(count * count);
    e.of_class.resize(count);
    e.bins.resize(calibration_bins);
    e.photographs = static_cast<std::int64_t>(photos.size());
    std::int64_t outside_top5 = 0;
    for (const answered_photo& photo : photos) {
        if (photo.logits.size() != count || photo.label < 0 || static_cast<std::size_t>(photo.label) >= count)
            throw std::logic_error("evaluate: logits or label do not fit the classes");
        const auto truth = static_cast<std::size_t>(photo.label);
        const auto answer =
            static_cast<std::size_t>(std::ranges::max_element(photo.logits) - photo.logits.begin());
        ++e.confusion[truth * count + answer];
        ++e.of_class[truth].photographs;
        ++e.of_class[answer].answers;
        if (answer == truth) ++e.of_class[truth].right;
        e.wrong += answer != truth ? 1 : 0;
        outside_top5 += rank_of_label(photo) >= 5 ? 1 : 0;
        e.loss += cross_entropy(photo);

        const double confidence = std::exp(static_cast<double>(photo.logits[answer]) - log_sum(photo.logits));
        const double place = std::ceil(confidence * static_cast<double>(calibration_bins)) - 1;
        calibration_bin& bin =
            e.bins[static_cast<std::size_t>(std::clamp(place, 0.0, calibration_bins - 1.0))];
        ++bin.photographs;
        bin.confidence += confidence;
        bin.accuracy += answer == truth ? 1 : 0;
    }
    const auto all = static_cast<double>(e.photographs);
    e.loss /= all;
    e.error_rate = static_cast<double>(e.wrong) / all;
    e.top5_error = static_cast<double>(outside_top5) / all;
    for (calibration_bin& bin : e.bins) {
        if (bin.photographs == 0) continue;
        const auto in_bin = static_cast<double>(bin.photographs);
        bin.confidence /= in_bin;
        bin.accuracy /= in_bin;
        e.calibration_error += in_bin / all * std::abs(bin.accuracy - bin.confidence);
    }
    return e;
}

std::vector<confused_pair> most_confused(const evaluation& e, std::size_t most) {
    std::vector<confused_pair> pairs;
    for (std::size_t truth = 0; truth < e.classes.size(); ++truth)
        for (std::size_t answer = 0; answer < e.classes.size(); ++answer)
            if (truth != answer && e.confused(truth, answer) > 0)
                pairs.push_back({truth, answer, e.confused(truth, answer)});
    std::ranges::stable_sort(pairs, std::greater(), &confused_pair::photographs);
    if (pairs.size() > most) pairs.resize(most);
    return pairs;
}

} // namespace petnet::report
