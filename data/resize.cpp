// SPDX-License-Identifier: Apache-2.0
#include "data/resize.hpp"

#include "data/resample.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

namespace petnet::data {
namespace {

// A photograph's two parts use the same weights, and most photographs of a folder have one of a few sizes.
const detail::resample_weights& weights_of_thread(std::size_t in, std::size_t out) {
    constexpr std::size_t most_kept = 16;
    thread_local std::map<std::pair<std::size_t, std::size_t>, detail::resample_weights> kept;
    const auto place = kept.find({in, out});
    if (place != kept.end()) return place->second;
    if (kept.size() == most_kept) kept.clear();
    return kept.emplace(std::pair(in, out), detail::weights_for(in, out)).first->second;
}

void resample_rows(const detail::resample_weights& weights, const std::uint8_t* source, std::uint8_t* target,
                   std::size_t row_bytes, simd level) {
    if (level == simd::avx512 && weights.halves_are_safe())
        detail::resample_rows_avx512(weights, source, target, row_bytes);
    else if (level == simd::avx2 && weights.halves_are_safe())
        detail::resample_rows_avx2(weights, source, target, row_bytes);
    else
        detail::resample_rows_portable(weights, source, target, row_bytes);
}

void resample_columns(const detail::resample_weights& weights, const std::uint8_t* source, std::size_t stride,
                      std::uint8_t* target, std::size_t rows, simd level) {
    if (level == simd::avx512 && weights.halves_are_safe() && !weights.groups.steps.empty())
        detail::resample_columns_avx512(weights, source, stride, target, rows);
    else if (level >= simd::avx2 && weights.halves_are_safe())
        detail::resample_columns_avx2(weights, source, stride, target, rows);
    else
        detail::resample_columns_portable(weights, source, stride, target, rows);
}

} // namespace

simd best_simd() noexcept {
#if defined(__x86_64__)
    static const bool avx2 = __builtin_cpu_supports("avx2") != 0;
    static const bool avx512 =
        __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
        __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512vbmi") != 0;
    return avx512 ? simd::avx512 : avx2 ? simd::avx2 : simd::portable;
#else
    return simd::portable;
#endif
}

square_cut fastai_cut(std::size_t width, std::size_t height, std::size_t size, double x_fraction,
                      double y_fraction) {
    const double x_scale = static_cast<double>(width) / static_cast<double>(size);
    const double y_scale = static_cast<double>(height) / static_cast<double>(size);
    const double scale = std::min(x_scale, y_scale);
    // A square of nothing would come of a shorter side of one pixel and an unlucky rounding.
    const auto side = std::max<std::size_t>(static_cast<std::size_t>(scale * static_cast<double>(size)), 1);
    const auto offset = [side](std::size_t extent, double fraction) {
        const auto place = static_cast<std::size_t>(fraction * static_cast<double>(extent - side));
        return std::min(place, extent - side);
    };
    return {side, offset(width, x_fraction), offset(height, y_fraction)};
}

std::size_t half_resized_bytes(std::size_t width, std::size_t height, std::size_t size) noexcept {
    return std::max(width, height) * size * 3 + resize_slack;
}

half_resized half_resized_frame(std::size_t width, std::size_t height, std::size_t size) {
    half_resized half;
    half.size = size;
    half.width = width;
    half.height = height;
    half.side = fastai_cut(width, height, size, 0, 0).side;
    half.free_is_vertical = height >= width;
    half.free_extent = std::max(width, height);
    half.pixels.resize(half_resized_bytes(width, height, size));
    return half;
}

half_resized resize_covered_axis(rgb_image& image, std::size_t size, simd level) {
    if (size == 0 || image.width == 0 || image.height == 0)
        throw std::logic_error("resize_covered_axis: an image or a square without pixels");
    half_resized half = half_resized_frame(image.width, image.height, size);
    const detail::resample_weights& weights = weights_of_thread(half.side, size);
    const std::size_t pixel_bytes = image.pixels.size();
    image.pixels.resize(pixel_bytes + resize_slack);
    if (half.free_is_vertical)
        resample_columns(weights, image.pixels.data(), image.width * 3, half.pixels.data(), image.height,
                         level);
    else
        resample_rows(weights, image.pixels.data(), half.pixels.data(), image.width * 3, level);
    image.pixels.resize(pixel_bytes);
    return half;
}

cut_source source_of_cut(std::size_t width, std::size_t height, std::size_t size, double fraction) {
    const square_cut cut = fastai_cut(width, height, size, fraction, fraction);
    if (height >= width)
        return {.offset = cut.y * size * 3, .stride = size * 3, .side = cut.side, .free_is_vertical = true};
    return {.offset = cut.x * 3, .stride = width * 3, .side = cut.side, .free_is_vertical = false};
}

cut_weights weights_of_cut(std::size_t side, std::size_t size) {
    const detail::resample_weights& weights = weights_of_thread(side, size);
    cut_weights result{.taps = weights.taps, .numbers = {}};
    result.numbers.reserve(size * (2 + weights.taps));
    for (std::size_t i = 0; i < size; ++i) {
        result.numbers.push_back(static_cast<std::int32_t>(weights.first[i]));
        result.numbers.push_back(static_cast<std::int32_t>(weights.count[i]));
        const auto own = weights.weights.begin() + static_cast<std::ptrdiff_t>(i * weights.taps);
        result.numbers.insert(result.numbers.end(), own, own + static_cast<std::ptrdiff_t>(weights.taps));
    }
    return result;
}

void cut_square(const half_resized& photo, double fraction, std::span<std::uint8_t> square, simd level) {
    if (square.size() != photo.size * photo.size * 3)
        throw std::logic_error("cut_square: the target is not (size, size, 3)");
    const cut_source from = source_of_cut(photo.width, photo.height, photo.size, fraction);
    const detail::resample_weights& weights = weights_of_thread(from.side, photo.size);
    const std::uint8_t* source = photo.pixels.data() + from.offset;
    if (from.free_is_vertical)
        resample_rows(weights, source, square.data(), from.stride, level);
    else
        resample_columns(weights, source, from.stride, square.data(), photo.size, level);
}

} // namespace petnet::data
