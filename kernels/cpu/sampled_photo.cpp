// SPDX-License-Identifier: Apache-2.0
#include "kernels/area_average.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/sampling_loops.hpp"

#include <algorithm>
#include <vector>

namespace petnet::kernels::cpu {
namespace {

constexpr std::int64_t colours = 3;

// A thread takes whole photographs: it averages one into its own scratch memory (3.2 MB of floats for 448x448
// pixels), then samples that row by row.
template <typename T> class sampled_photo final : public operation {
  public:
    sampled_photo(context& cpu, const sampled_photo_to_tensor& op)
        : op_(op),
          photo_{op.pixels.desc.dims[1], op.pixels.desc.dims[2]},
          output_{op.y.desc.dims[2], op.y.desc.dims[3]},
          averaged_(averaged_extents(photo_, output_)),
          threads_(static_cast<int>(std::min<std::int64_t>(cpu.threads(), op.y.desc.dims[0]))),
          across_(grid(output_.width)),
          down_(grid(output_.height)) {
        for (std::int64_t i = 0; i < averaged_.width; ++i) {
            const auto range = averaged_pixels(i, photo_.width, averaged_.width);
            const std::int64_t count = range.end - range.first;
            columns_.push_back({static_cast<std::int32_t>(range.first), static_cast<std::int32_t>(count),
                                1.0F / static_cast<float>(count)});
        }
        for (std::size_t c = 0; c < colours; ++c) {
            const auto mean = static_cast<double>(op.mean[c]),
                       deviation = static_cast<double>(op.deviation[c]);
            scale_[c] = static_cast<float>(1 / deviation);
            shift_[c] = static_cast<float>(-mean / deviation);
        }
    }

    [[nodiscard]] std::size_t workspace_bytes() const override {
        return static_cast<std::size_t>(threads_ * scratch_floats()) * sizeof(float);
    }

    void execute(std::byte* workspace) override {
        auto* const scratch = reinterpret_cast<float*>(workspace);
#pragma omp parallel for schedule(static) num_threads(threads_)
        for (std::int64_t n = 0; n < op_.y.desc.dims[0]; ++n)
            convert(n, scratch + omp_get_thread_num() * scratch_floats());
    }

  private:
    // Between -1 and 1, as the contract says.
    static std::vector<float> grid(std::int64_t extent) {
        std::vector<float> points(static_cast<std::size_t>(extent));
        for (std::int64_t i = 0; extent > 1 && i < extent; ++i)
            points[static_cast<std::size_t>(i)] =
                static_cast<float>(2 * static_cast<double>(i) / static_cast<double>(extent - 1) - 1);
        return points;
    }

    // The picture has one row and one column more than pixels: sampled_picture.
    [[nodiscard]] std::int64_t stride() const { return averaged_.width + 1; }
    [[nodiscard]] std::int64_t picture_floats() const { return (averaged_.height + 1) * stride() * 4; }
    [[nodiscard]] std::int64_t row_floats() const {
        return std::max(colours * photo_.width + 1, 4 * output_.width);
    }
    [[nodiscard]] std::int64_t scratch_floats() const {
        constexpr std::int64_t cache_line = 16;
        return (picture_floats() + row_floats() + cache_line - 1) / cache_line * cache_line;
    }

    void convert(std::int64_t n, float* scratch) const {
        float* const row = scratch + picture_floats();
        average(n, scratch, row);
        const float* const transform = op_.transforms.present()
                                           ? elements<float>(op_.transforms) + n * photo_transform_columns
                                           : nullptr;
        const sampled_picture picture{scratch, averaged_.height, averaged_.width, stride()};
        const std::int64_t area = output_.height * output_.width;
        const bool channels_are_last = op_.y.desc.layout == channels_last;
        T* const y = elements<T>(op_.y) + n * colours * area;
        for (std::int64_t h = 0; h < output_.height; ++h) {
            kernel_.sample_row(picture, transform, across_.data(), down_[static_cast<std::size_t>(h)],
                               output_.width, row);
            if (transform != nullptr && (transform[9] != 0 || transform[10] != 1))
                kernel_.change_light(row, 4 * output_.width, transform[9], transform[10]);
            if (channels_are_last)
                kernel_.store_row(row, output_.width, scale_, shift_, y + h * output_.width * colours,
                                  colours, 1);
            else
                kernel_.store_row(row, output_.width, scale_, shift_, y + h * output_.width, 1, area);
        }
    }

    void average(std::int64_t n, float* picture, float* sums) const {
        const std::uint8_t* const pixels =
            elements<std::uint8_t>(op_.pixels) + n * photo_.height * photo_.width * colours;
        for (std::int64_t h = 0; h < averaged_.height; ++h) {
            const auto rows = averaged_pixels(h, photo_.height, averaged_.height);
            float* const to = picture + 4 * h * stride();
            kernel_.average_rows(pixels + rows.first * photo_.width * colours, rows.end - rows.first,
                                 photo_.width, columns_.data(), averaged_.width, sums, to);
            std::fill_n(to + 4 * averaged_.width, 4, 0.0F);
        }
        std::fill_n(picture + 4 * averaged_.height * stride(), 4 * stride(), 0.0F);
    }

    sampled_photo_to_tensor op_;
    plane_extents photo_, output_, averaged_;
    int threads_;
    std::vector<float> across_, down_; // the grid of y
    std::vector<averaged_column> columns_;
    float scale_[colours], shift_[colours];
    const sampling_loops<T>& kernel_ = best_sampling_loops<T>();
};

} // namespace

std::unique_ptr<operation> prepare(context& cpu, const sampled_photo_to_tensor& op) {
    return make_for<sampled_photo>(op.y.desc.type, cpu, op);
}

} // namespace petnet::kernels::cpu
