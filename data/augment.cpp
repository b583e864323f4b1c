// SPDX-License-Identifier: Apache-2.0
#include "data/augment.hpp"

#include "base/random.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace petnet::data {
namespace {

using matrix = std::array<double, 9>; // 3x3, row by row

matrix product(const matrix& a, const matrix& b) {
    matrix result{};
    for (std::size_t row = 0; row < 3; ++row)
        for (std::size_t column = 0; column < 3; ++column)
            for (std::size_t k = 0; k < 3; ++k)
                result[3 * row + column] += a[3 * row + k] * b[3 * k + column];
    return result;
}

matrix flipping(bool flip) { return {flip ? -1.0 : 1.0, 0, 0, 0, 1, 0, 0, 0, 1}; }

matrix rotation(double degrees) {
    const double angle = degrees * std::numbers::pi / 180, c = std::cos(angle), s = std::sin(angle);
    return {c, s, 0, -s, c, 0, 0, 0, 1};
}

matrix zooming(double zoom, double x, double y) {
    const double part = 1 / zoom; // of the photograph that is still seen
    return {part, 0, (1 - part) * (2 * x - 1), 0, part, (1 - part) * (2 * y - 1), 0, 0, 1};
}

// fastai's _WarpCoord solves eight equations for the projection that takes the corners
//   (-1-b, -1-a), (-1+b, 1+a), (1+b, -1+a), (1-b, 1-a)    to    (-1,-1), (-1,1), (1,-1), (1,1)
// with a = warp_x, b = warp_y. The projection the other way is [1-b^2, -ab, a; -ab, 1-a^2, b; a, b, 1], as
// the corners show; its adjugate, divided by the lower right element, is the one wanted.
matrix warping(double a, double b) {
    const double k = 1 - a * a - b * b;
    const double across = 2 * a * b / k, x = -a * (1 - a * a + b * b) / k, y = -b * (1 + a * a - b * b) / k;
    return {1, across, x, across, 1, y, x, y, 1};
}

// One after the other, the places in the stream of draws.
class drawer {
  public:
    explicit drawer(random_key key) : key_(key) {}
    [[nodiscard]] double uniform(double low, double high) {
        return low + (high - low) * key_.uniform(next_++);
    }
    [[nodiscard]] bool happens(double probability) { return key_.uniform(next_++) < probability; }
    // Both draws are taken in any case: what comes after them does not depend on them.
    [[nodiscard]] double sometimes(double low, double high, double otherwise) {
        const bool wanted = happens(0.75);
        const double value = uniform(low, high);
        return wanted ? value : otherwise;
    }

  private:
    random_key key_;
    std::uint64_t next_ = 0;
};

} // namespace

augmentation draw_augmentation(std::uint64_t seed, std::uint64_t epoch, std::string_view name) {
    drawer draw(random_key(seed).child("augment").child(epoch).child(name));
    const double log_contrast = -std::log(0.8);
    augmentation drawn;
    drawn.flip = draw.happens(0.5);
    drawn.warp_x = draw.sometimes(-0.2, 0.2, 0);
    drawn.warp_y = draw.sometimes(-0.2, 0.2, 0);
    drawn.degrees = draw.sometimes(-10, 10, 0);
    drawn.zoom = draw.sometimes(1, 1.1, 1);
    drawn.zoom_x = draw.uniform(0, 1);
    drawn.zoom_y = draw.uniform(0, 1);
    drawn.brightness = draw.sometimes(0.4, 0.6, 0.5);
    drawn.contrast = std::exp(draw.sometimes(-log_contrast, log_contrast, 0));
    return drawn;
}

photo_transform transform_of(const augmentation& drawn) {
    const matrix affine = product(product(flipping(drawn.flip), rotation(drawn.degrees)),
                                  zooming(drawn.zoom, drawn.zoom_x, drawn.zoom_y));
    const matrix all = product(warping(drawn.warp_x, drawn.warp_y), affine);
    photo_transform result{};
    std::copy(all.begin(), all.end(), result.begin());
    result[9] = -std::log(1 / drawn.brightness - 1);
    result[10] = drawn.contrast;
    return result;
}

std::int64_t presized(std::int64_t size) noexcept { return (size * 460 + 112) / 224; }

} // namespace petnet::data
