// SPDX-License-Identifier: Apache-2.0
#include "base/float16.hpp"
#include "kernels/cpu/parallel.hpp"

#include <limits>

namespace petnet::kernels::cpu {
namespace {

// An activation as planes of height x width rows of `channels` neighbouring channels.
struct plane_view {
    std::int64_t planes, height, width, channels, channel_blocks;
    [[nodiscard]] std::int64_t row_elements() const noexcept { return width * channels; }
    [[nodiscard]] std::int64_t plane_elements() const noexcept { return height * row_elements(); }
};

plane_view planes_of(const tensor_desc& desc) {
    const row_view rows = rows_of(desc);
    const shape& d = desc.dims;
    return {d[0] * rows.channel_blocks, d[2], d[3], rows.channels, rows.channel_blocks};
}

template <typename T> class max_pool final : public operation {
  public:
    max_pool(context& cpu, const max_pool_forward& op)
        : op_(op), in_(planes_of(op.x.desc)), out_(planes_of(op.y.desc)), threads_(cpu.threads()) {}

    void execute(std::byte*) override {
        const T* x = elements<T>(op_.x);
        T* y = elements<T>(op_.y);
        auto* argmax = elements<std::uint8_t>(op_.argmax);
        const std::int64_t all_channels = op_.x.desc.dims[1];
        const float* scale = op_.saved.present() ? elements<float>(op_.saved) + 2 * all_channels : nullptr;
#pragma omp parallel for schedule(static) num_threads(threads_)
        for (std::int64_t i = 0; i < out_.planes * out_.height; ++i) {
            const std::int64_t plane = i / out_.height, out_row = i % out_.height;
            const T* rows[3];
            for (std::int64_t r = 0; r < 3; ++r) {
                const std::int64_t row = 2 * out_row + r - 1;
                const bool inside = row >= 0 && row < in_.height;
                rows[r] = inside ? x + plane * in_.plane_elements() + row * in_.row_elements() : nullptr;
            }
            const std::int64_t first_channel = plane % in_.channel_blocks * in_.channels;
            const std::int64_t at = i * out_.row_elements();
            kernel_.max_pool_row(rows, in_.width, in_.channels,
                                 scale == nullptr ? nullptr : scale + first_channel,
                                 scale == nullptr ? nullptr : scale + all_channels + first_channel, y + at,
                                 argmax == nullptr ? nullptr : argmax + at);
        }
    }

  private:
    max_pool_forward op_;
    plane_view in_, out_;
    int threads_;
    const loops<T>& kernel_ = best_loops<T>();
};

template <typename T> class max_pool_gradient final : public operation {
  public:
    max_pool_gradient(context& cpu, const max_pool_backward& op)
        : op_(op), in_(planes_of(op.dx.desc)), out_(planes_of(op.dy.desc)), threads_(cpu.threads()) {}

    void execute(std::byte*) override {
        T* dx = elements<T>(op_.dx);
#pragma omp parallel for schedule(static) num_threads(threads_)
        for (std::int64_t i = 0; i < in_.planes * in_.height; ++i) {
            const std::int64_t plane = i / in_.height, row = i % in_.height;
            typename loops<T>::pool_gradient sources[2] = {};
            // Even rows lie in the middle of one window, odd ones at the end of one and the start of the
            // next.
            std::int64_t count = 0;
            for (std::int64_t out_row = row / 2; out_row <= (row + 1) / 2 && out_row < out_.height; ++out_row)
                sources[count++] = source(plane, out_row, static_cast<int>(row + 1 - 2 * out_row));
            kernel_.max_pool_backward_row(sources, in_.width, in_.channels, dx + i * in_.row_elements());
        }
    }

  private:
    [[nodiscard]] typename loops<T>::pool_gradient source(std::int64_t plane, std::int64_t out_row,
                                                          int tap_row) const {
        const std::int64_t at = plane * out_.plane_elements() + out_row * out_.row_elements();
        const T* dy2 = elements<T>(op_.dy2);
        return {elements<T>(op_.dy) + at, dy2 == nullptr ? nullptr : dy2 + at,
                elements<std::uint8_t>(op_.argmax) + at, tap_row};
    }

    max_pool_backward op_;
    plane_view in_, out_;
    int threads_;
    const loops<T>& kernel_ = best_loops<T>();
};

// The last planes are 7x7 and less than a hundredth of the step: plain loops, one image at a time.
float value_of(float v) { return v; }
float value_of(bf16 v) { return float_of_bfloat16(v.bits); }
void assign(float& place, float v) { place = v; }
void assign(bf16& place, float v) { place.bits = bfloat16_of_float(v); }

template <typename T> class concat_pool final : public operation {
  public:
    concat_pool(context& cpu, const concat_pool_forward& op)
        : op_(op), view_(planes_of(op.x.desc)), threads_(cpu.threads()) {}

    void execute(std::byte*) override {
        const T* x = elements<T>(op_.x);
        auto* y = elements<float>(op_.y);
        auto* argmax = elements<std::int32_t>(op_.argmax);
        const std::int64_t all_channels = op_.x.desc.dims[1], area = view_.height * view_.width;
#pragma omp parallel for schedule(static) num_threads(threads_)
        for (std::int64_t plane = 0; plane < view_.planes; ++plane) {
            const std::int64_t image = plane / view_.channel_blocks;
            const std::int64_t first = plane % view_.channel_blocks * view_.channels;
            const T* from = x + plane * view_.plane_elements();
            for (std::int64_t c = 0; c < view_.channels; ++c) {
                float best = -std::numeric_limits<float>::infinity(), sum = 0;
                std::int32_t where = 0;
                for (std::int64_t i = 0; i < area; ++i) {
                    const float v = value_of(from[i * view_.channels + c]);
                    sum += v;
                    if (v > best || v != v) {
                        best = v;
                        where = static_cast<std::int32_t>(i);
                    }
                }
                y[image * 2 * all_channels + first + c] = best;
                y[image * 2 * all_channels + all_channels + first + c] = sum / static_cast<float>(area);
                if (argmax != nullptr) argmax[image * all_channels + first + c] = where;
            }
        }
    }

  private:
    concat_pool_forward op_;
    plane_view view_;
    int threads_;
};

template <typename T> class concat_pool_gradient final : public operation {
  public:
    concat_pool_gradient(context& cpu, const concat_pool_backward& op)
        : op_(op), view_(planes_of(op.dx.desc)), threads_(cpu.threads()) {}

    void execute(std::byte*) override {
        T* dx = elements<T>(op_.dx);
        const auto* dy = elements<float>(op_.dy);
        const auto* argmax = elements<std::int32_t>(op_.argmax);
        const std::int64_t all_channels = op_.dx.desc.dims[1], area = view_.height * view_.width;
#pragma omp parallel for schedule(static) num_threads(threads_)
        for (std::int64_t plane = 0; plane < view_.planes; ++plane) {
            const std::int64_t image = plane / view_.channel_blocks;
            const std::int64_t first = plane % view_.channel_blocks * view_.channels;
            T* to = dx + plane * view_.plane_elements();
            for (std::int64_t i = 0; i < area; ++i)
                for (std::int64_t c = 0; c < view_.channels; ++c) {
                    const std::int64_t at = image * 2 * all_channels + first + c;
                    const float average = dy[at + all_channels] / static_cast<float>(area);
                    const bool chosen = argmax != nullptr && argmax[image * all_channels + first + c] == i;
                    assign(to[i * view_.channels + c], chosen ? average + dy[at] : average);
                }
        }
    }

  private:
    concat_pool_backward op_;
    plane_view view_;
    int threads_;
};

} // namespace

std::unique_ptr<operation> prepare(context& cpu, const max_pool_forward& op) {
    return make_for<max_pool>(op.x.desc.type, cpu, op);
}
std::unique_ptr<operation> prepare(context& cpu, const max_pool_backward& op) {
    return make_for<max_pool_gradient>(op.dx.desc.type, cpu, op);
}
std::unique_ptr<operation> prepare(context& cpu, const concat_pool_forward& op) {
    return make_for<concat_pool>(op.x.desc.type, cpu, op);
}
std::unique_ptr<operation> prepare(context& cpu, const concat_pool_backward& op) {
    return make_for<concat_pool_gradient>(op.dx.desc.type, cpu, op);
}

} // namespace petnet::kernels::cpu
