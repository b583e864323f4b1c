// SPDX-License-Identifier: Apache-2.0
#include "report/top_losses.hpp"

#include "data/encode_jpeg.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace petnet::report {
namespace {

// At most this many pixels wide and high, as validation sees it.
constexpr std::size_t side = 192;

std::vector<std::byte> thumbnail(const data::half_resized& photo) {
    data::rgb_image image{photo.size, photo.size, {}};
    image.pixels.resize(photo.size * photo.size * 3);
    data::cut_square(photo, 0.5, image.pixels);
    if (photo.size > side) {
        data::rgb_image small{side, side, std::vector<std::uint8_t>(side * side * 3)};
        data::cut_square(data::resize_covered_axis(image, side), 0.5, small.pixels);
        image = std::move(small);
    }
    constexpr int quality = 80;
    return data::encode_jpeg(image, quality);
}

} // namespace

std::vector<pictured_photo>
top_losses(std::span<const answered_photo> photos, std::size_t most,
           const std::function<std::shared_ptr<const data::half_resized>(std::size_t)>& pixels_of) {
    std::vector<double> losses;
    for (const answered_photo& photo : photos) losses.push_back(cross_entropy(photo));
    std::vector<std::size_t> order(photos.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return losses[i]; });
    order.resize(std::min(most, order.size()));

    std::vector<pictured_photo> found;
    for (const std::size_t i : order) {
        const answered_photo& photo = photos[i];
        pictured_photo picture{
            .name = photo.name,
            .truth = static_cast<std::size_t>(photo.label),
            .answer = static_cast<std::size_t>(std::ranges::max_element(photo.logits) - photo.logits.begin()),
            .loss = losses[i]};
        const auto of_answer = static_cast<std::int32_t>(picture.answer);
        picture.probability = std::exp(-cross_entropy({photo.name, of_answer, photo.logits}));
        if (const auto pixels = pixels_of(i)) picture.jpeg = thumbnail(*pixels);
        found.push_back(std::move(picture));
    }
    return found;
}

} // namespace petnet::report
