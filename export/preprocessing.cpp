// SPDX-License-Identifier: Apache-2.0
#include "export/preprocessing.hpp"

#include "kernels/area_average.hpp"

#include <algorithm>

namespace petnet::exporting {

std::vector<float> sampling_matrix(std::int64_t in, std::int64_t out) {
    const std::int64_t averaged = kernels::averaged_extents({in, in}, {out, out}).height;
    std::vector<float> matrix(static_cast<std::size_t>(in * out));
    const auto add = [&](std::int64_t row, std::int64_t averaged_pixel, double weight) {
        const auto pixels = kernels::averaged_pixels(averaged_pixel, in, averaged);
        for (std::int64_t i = pixels.first; i < pixels.end; ++i)
            matrix[static_cast<std::size_t>(row * in + i)] +=
                static_cast<float>(weight / static_cast<double>(pixels.end - pixels.first));
    };
    for (std::int64_t row = 0; row < out; ++row) {
        // The grid's corners are the centres of the outermost pixels; a grid of one point is the middle.
        const double place = out == 1
                                 ? static_cast<double>(averaged - 1) / 2
                                 : static_cast<double>(row * (averaged - 1)) / static_cast<double>(out - 1);
        const auto before = static_cast<std::int64_t>(place);
        const double beyond = place - static_cast<double>(before);
        add(row, before, 1 - beyond);
        if (beyond > 0) add(row, std::min(before + 1, averaged - 1), beyond);
    }
    return matrix;
}

} // namespace petnet::exporting
