// SPDX-License-Identifier: Apache-2.0
#include "data/resample.hpp"

#include <algorithm>
#include <cmath>

namespace petnet::data::detail {
namespace {

constexpr std::int64_t rounding = std::int64_t{1} << (weight_bits - 1);

std::uint8_t to_byte(std::int64_t sum) {
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(sum >> weight_bits, 0, 255));
}

double triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

column_groups groups_of(const resample_weights& weights) {
    column_groups groups;
    groups.steps_of_window = (*std::max_element(weights.count.begin(), weights.count.end()) + 1) / 2;
    for (std::size_t from = 0; from < weights.out; from += column_groups::pixels) {
        const std::size_t to = std::min(from + column_groups::pixels, weights.out);
        const std::size_t first = weights.first[from];
        const std::size_t bytes = (weights.first[to - 1] + weights.count[to - 1] - first) * 3;
        if (bytes > 64) return {};
        groups.windows.push_back({static_cast<std::uint32_t>(first * 3), static_cast<std::uint32_t>(bytes)});
        for (std::size_t tap = 0; tap < 2 * groups.steps_of_window; tap += 2) {
            column_groups::step& step = groups.steps.emplace_back();
            for (std::size_t lane = 0; lane < (to - from) * 3; ++lane)
                for (std::size_t k = 0; k < 2; ++k) {
                    const std::size_t i = from + lane / 3, j = tap + k;
                    if (j >= weights.count[i]) continue;
                    step.from[2 * lane + k] =
                        static_cast<std::uint16_t>((weights.first[i] + j - first) * 3 + lane % 3);
                    step.high[2 * lane + k] = weights.high[i * weights.taps + j];
                    step.low[2 * lane + k] = weights.low[i * weights.taps + j];
                }
        }
    }
    return groups;
}

} // namespace

resample_weights weights_for(std::size_t in, std::size_t out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double support = std::max(scale, 1.0);
    const double inverse = 1.0 / support;
    resample_weights result;
    result.out = out;
    const std::size_t most = std::min(static_cast<std::size_t>(std::ceil(support)) * 2 + 1, in);
    result.taps = (most + 3) / 4 * 4;
    result.first.resize(out);
    result.count.resize(out);
    result.weights.assign(out * result.taps, 0);
    result.high.assign(out * result.taps, 0);
    result.low.assign(out * result.taps, 0);
    std::vector<double> exact(result.taps);
    for (std::size_t i = 0; i < out; ++i) {
        const double centre = (static_cast<double>(i) + 0.5) * scale;
        const auto first = static_cast<std::size_t>(std::max(centre - support + 0.5, 0.0));
        const std::size_t end = std::min(static_cast<std::size_t>(centre + support + 0.5), in);
        double sum = 0;
        for (std::size_t j = first; j < end; ++j) {
            // Added in Pillow's order: another order changes the last bit of a double, and so, rarely, a
            // weight.
            exact[j - first] = triangle(
                (static_cast<double>(j - first) + static_cast<double>(first) - centre + 0.5) * inverse);
            sum += exact[j - first];
        }
        result.first[i] = static_cast<std::uint32_t>(first);
        result.count[i] = static_cast<std::uint32_t>(end - first);
        for (std::size_t j = 0; j < end - first; ++j) {
            const double normalised = sum != 0 ? exact[j] / sum : exact[j];
            const auto weight = static_cast<std::int32_t>(0.5 + normalised * (1 << weight_bits));
            const std::size_t place = i * result.taps + j;
            result.weights[place] = weight;
            result.high[place] = static_cast<std::int16_t>(weight >> 11);
            result.low[place] = static_cast<std::int16_t>(weight & 2047);
        }
    }
    if (out != 0) result.groups = groups_of(result);
    return result;
}

void resample_rows_portable(const resample_weights& weights, const std::uint8_t* source, std::uint8_t* target,
                            std::size_t row_bytes) {
    for (std::size_t i = 0; i < weights.out; ++i) {
        const std::uint8_t* rows = source + weights.first[i] * row_bytes;
        const std::int32_t* row_weights = weights.weights.data() + i * weights.taps;
        for (std::size_t x = 0; x < row_bytes; ++x) {
            std::int64_t sum = rounding;
            for (std::size_t j = 0; j < weights.count[i]; ++j)
                sum += std::int64_t{row_weights[j]} * rows[j * row_bytes + x];
            target[i * row_bytes + x] = to_byte(sum);
        }
    }
}

void resample_columns_portable(const resample_weights& weights, const std::uint8_t* source,
                               std::size_t source_stride, std::uint8_t* target, std::size_t rows) {
    for (std::size_t y = 0; y < rows; ++y)
        for (std::size_t i = 0; i < weights.out; ++i) {
            const std::uint8_t* pixels = source + y * source_stride + std::size_t{weights.first[i]} * 3;
            const std::int32_t* pixel_weights = weights.weights.data() + i * weights.taps;
            for (std::size_t channel = 0; channel < 3; ++channel) {
                std::int64_t sum = rounding;
                for (std::size_t j = 0; j < weights.count[i]; ++j)
                    sum += std::int64_t{pixel_weights[j]} * pixels[j * 3 + channel];
                target[(y * weights.out + i) * 3 + channel] = to_byte(sum);
            }
        }
}

} // namespace petnet::data::detail
