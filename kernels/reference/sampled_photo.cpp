// SPDX-License-Identifier: Apache-2.0
#include "kernels/area_average.hpp"
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace petnet::kernels::reference {
namespace {

constexpr std::int64_t colours = 3;

// p of one image: (height, width, 3), shrunk where that is due.
void average(const std::uint8_t* pixels, const plane_extents& photo, const plane_extents& averaged,
             double* p) {
    for (std::int64_t h = 0; h < averaged.height; ++h)
        for (std::int64_t w = 0; w < averaged.width; ++w)
            for (std::int64_t c = 0; c < colours; ++c) {
                const auto rows = averaged_pixels(h, photo.height, averaged.height);
                const auto columns = averaged_pixels(w, photo.width, averaged.width);
                double sum = 0;
                for (std::int64_t i = rows.first; i < rows.end; ++i)
                    for (std::int64_t j = columns.first; j < columns.end; ++j)
                        sum += pixels[(i * photo.width + j) * colours + c];
                const auto count =
                    static_cast<double>((rows.end - rows.first) * (columns.end - columns.first));
                p[(h * averaged.width + w) * colours + c] = sum / count / 255;
            }
}

// Of pixel `index` of an axis: its place between -1 and 1.
double grid_point(std::int64_t index, std::int64_t extent) {
    return extent == 1 ? 0 : 2 * static_cast<double>(index) / static_cast<double>(extent - 1) - 1;
}

// From [-1, 1] to pixels, reflected at the first and the last.
double pixel_place(double point, std::int64_t extent) {
    const auto last = static_cast<double>(extent - 1);
    if (last == 0 || !std::isfinite(point)) return 0;
    const double place = std::fmod(std::abs((point + 1) / 2 * last), 2 * last);
    return place > last ? 2 * last - place : place;
}

double bilinear(const double* p, const plane_extents& extents, double row, double column, std::int64_t c) {
    const auto h = static_cast<std::int64_t>(row), w = static_cast<std::int64_t>(column);
    const double down = row - static_cast<double>(h), right = column - static_cast<double>(w);
    const auto at = [&](std::int64_t i, std::int64_t j) {
        i = std::min(i, extents.height - 1); // the last pixel has no next one, whose weight is 0
        j = std::min(j, extents.width - 1);
        return p[(i * extents.width + j) * colours + c];
    };
    return (1 - down) * ((1 - right) * at(h, w) + right * at(h, w + 1)) +
           down * ((1 - right) * at(h + 1, w) + right * at(h + 1, w + 1));
}

double with_light(double s, double brightness, double contrast) {
    s = std::clamp(s, 1e-7, 1 - 1e-7);
    const double logit = -std::log(1 / s - 1);
    return 1 / (1 + std::exp(-contrast * (logit + brightness)));
}

} // namespace

template <class T> std::unique_ptr<operation> prepare(const sampled_photo_to_tensor& op) {
    const shape pixels = op.pixels.desc.dims, y_dims = op.y.desc.dims;
    const plane_extents photo{pixels[1], pixels[2]}, output{y_dims[2], y_dims[3]};
    const plane_extents averaged = averaged_extents(photo, output);
    return with_element<T>(op.y.desc.type, [&]<class Element>(Element) {
        return make_loops(averaged.height * averaged.width * colours, [=](double* p) {
            const auto* transforms = elements<const T>(op.transforms);
            auto* y = elements<Element>(op.y); // channels last
            for (std::int64_t n = 0; n < y_dims[0]; ++n) {
                average(elements<const std::uint8_t>(op.pixels) + n * photo.height * photo.width * colours,
                        photo, averaged, p);
                std::array<double, photo_transform_columns> m{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1};
                for (std::size_t i = 0; transforms != nullptr && i < m.size(); ++i)
                    m[i] = load(transforms[n * photo_transform_columns + static_cast<std::int64_t>(i)]);
                for (std::int64_t h = 0; h < output.height; ++h)
                    for (std::int64_t w = 0; w < output.width; ++w) {
                        const double across = grid_point(w, output.width),
                                     down = grid_point(h, output.height);
                        const double t = m[6] * across + m[7] * down + m[8];
                        const double column = pixel_place((m[0] * across + m[1] * down + m[2]) / t,
                                                          averaged.width),
                                     row = pixel_place((m[3] * across + m[4] * down + m[5]) / t,
                                                       averaged.height);
                        for (std::int64_t c = 0; c < colours; ++c) {
                            double s = bilinear(p, averaged, row, column, c);
                            if (transforms != nullptr) s = with_light(s, m[9], m[10]);
                            const auto colour = static_cast<std::size_t>(c);
                            store(y[((n * output.height + h) * output.width + w) * colours + c],
                                  (s - load(op.mean[colour])) / load(op.deviation[colour]));
                        }
                    }
            }
        });
    });
}

template std::unique_ptr<operation> prepare<float>(const sampled_photo_to_tensor&);
template std::unique_ptr<operation> prepare<double>(const sampled_photo_to_tensor&);

} // namespace petnet::kernels::reference
