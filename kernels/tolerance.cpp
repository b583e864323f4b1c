// SPDX-License-Identifier: Apache-2.0
#include "kernels/tolerance.hpp"

#include <algorithm>
#include <cmath>

namespace petnet::kernels {
namespace {

// How many terms the longest sum of an operation has.
struct longest_sum {
    double operator()(const convolution_forward& c) const { return patch(c.shape, c.shape.in_channels); }
    double operator()(const convolution_backward_data& c) const {
        return patch(c.shape, c.shape.out_channels);
    }
    double operator()(const convolution_backward_weights& c) const {
        return static_cast<double>(c.dy.desc.dims.elements()) / static_cast<double>(c.shape.out_channels);
    }
    double operator()(const batch_norm_forward& b) const { return per_channel(b.x); }
    double operator()(const batch_norm_backward& b) const { return per_channel(b.x); }
    double operator()(const concat_pool_forward& p) const {
        return static_cast<double>(p.x.desc.dims[2] * p.x.desc.dims[3]);
    }
    double operator()(const linear_forward& l) const { return static_cast<double>(l.x.desc.dims[1]); }
    double operator()(const linear_backward& l) const {
        return static_cast<double>(std::max(l.dy.desc.dims[0], l.dy.desc.dims[1]));
    }
    double operator()(const softmax_cross_entropy& s) const {
        return static_cast<double>(s.logits.desc.dims[1]);
    }
    double operator()(const auto&) const { return 1; }

    static double patch(const convolution_shape& s, std::int64_t channels) {
        return static_cast<double>(s.kernel * s.kernel * channels);
    }
    static double per_channel(const tensor_view& x) {
        return static_cast<double>(x.desc.dims.elements()) / static_cast<double>(x.desc.dims[1]);
    }
};

// By how many units of 2^-24 coordinates magnify rounding: each is computed between -1 and 1 and counts up to
// its side in pixels, the values of neighbouring pixels may be the whole range apart, and the errors along
// both axes add up.
double magnification(const operation_params& op) {
    const auto* photo = std::get_if<sampled_photo_to_tensor>(&op);
    if (photo == nullptr) return 1;
    return static_cast<double>(photo->pixels.desc.dims[1] + photo->pixels.desc.dims[2]);
}

} // namespace

dtype rounded_to(const operation_params& op, dtype written) {
    const auto* weights = std::get_if<convolution_backward_weights>(&op);
    return weights != nullptr ? weights->x.desc.type : written;
}

// A sum of n terms, each rounded by at most eps = 2^-24, is off by about eps * sqrt(n) of its size; 16 covers
// the constants: several sums in a row (mean, then variance, then the scale that multiplies all) and elements
// larger than the typical one. A bf16 result is rounded once more, by up to 2^-8 of itself (f16: 2^-11); dx
// of a batch norm with a residual twice, as a kernel may keep g in dresidual alone, and what is convolved
// through a batch norm once before it is.
double tolerance_of(const operation_params& op, dtype written) {
    const double arithmetic = 16 * 0x1p-24 * std::sqrt(std::visit(longest_sum{}, op)) * magnification(op);
    const auto* backward = std::get_if<batch_norm_backward>(&op);
    const bool twice = convolves_through_norm(op) || (backward != nullptr && backward->dresidual.present());
    const int roundings = twice ? 2 : 1;
    const dtype rounded = rounded_to(op, written);
    const double unit = rounded == dtype::bf16 ? 0x1p-8 : rounded == dtype::f16 ? 0x1p-11 : 0;
    return roundings * unit + arithmetic;
}

double scale_of_terms(const batch_norm_backward& op, std::span<const double> saved) {
    const auto channels = static_cast<std::size_t>(op.saved.desc.dims[1]);
    double largest = 0;
    for (const double scale : saved.subspan(2 * channels, channels))
        largest = std::max(largest, std::abs(scale));
    return 2 * largest;
}

bool decides(const operation_params& op) {
    if (const auto* backward = std::get_if<batch_norm_backward>(&op))
        return backward->relu && !backward->y.present();
    return std::holds_alternative<max_pool_backward>(op);
}

} // namespace petnet::kernels
