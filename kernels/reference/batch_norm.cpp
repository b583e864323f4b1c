// SPDX-License-Identifier: Apache-2.0
// Row m of x (batch*height*width of them, or batch for features) holds one element of each channel: the loops
// run over rows, their inner loops over channels. Statistics take two passes, mean first.
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <algorithm>
#include <cmath>

namespace petnet::kernels::reference {
namespace {

struct rows_of {
    explicit rows_of(const tensor_view& x)
        : channels(x.desc.dims[1]), count(x.desc.dims.elements() / x.desc.dims[1]) {}
    std::int64_t channels, count;
};

// y = relu?(scale*x + shift + residual?); y may be x or residual.
template <class Element, class Op, class Coefficient>
void apply(const Op& op, const Coefficient* scale, const Coefficient* shift) {
    const auto [channels, count] = rows_of(op.x);
    const auto *x = elements<const Element>(op.x), *residual = elements<const Element>(op.residual);
    auto* y = elements<Element>(op.y);
    for (std::int64_t m = 0; m < count; ++m)
        for (std::int64_t c = 0; c < channels; ++c) {
            const std::int64_t i = m * channels + c;
            double value = load(scale[c]) * load(x[i]) + load(shift[c]);
            if (residual != nullptr) value += load(residual[i]);
            store(y[i], op.relu ? relu(value) : value);
        }
}

// y is computed from the stored scale and shift, as the backward pass and max_pool_forward will see them.
template <class T, class Element> void normalise(const batch_norm_forward& op, double* sums) {
    const auto [channels, count] = rows_of(op.x);
    const auto* x = elements<const Element>(op.x);
    const auto *gamma = elements<const T>(op.gamma), *beta = elements<const T>(op.beta);
    auto *running_mean = elements<T>(op.running_mean), *running_variance = elements<T>(op.running_variance);
    auto* saved = elements<T>(op.saved);
    double *mean = sums, *squares = sums + channels;
    std::fill_n(sums, 2 * channels, 0.0);
    for (std::int64_t m = 0; m < count; ++m)
        for (std::int64_t c = 0; c < channels; ++c) mean[c] += load(x[m * channels + c]);
    for (std::int64_t c = 0; c < channels; ++c) mean[c] /= static_cast<double>(count);
    for (std::int64_t m = 0; m < count; ++m)
        for (std::int64_t c = 0; c < channels; ++c) {
            const double centred = load(x[m * channels + c]) - mean[c];
            squares[c] += centred * centred;
        }
    for (std::int64_t c = 0; c < channels; ++c) {
        const double unbiased = squares[c] / static_cast<double>(count - 1);
        const double inverse_deviation =
            1 / std::sqrt(squares[c] / static_cast<double>(count) + batch_norm_epsilon);
        const double scale = load(gamma[c]) * inverse_deviation;
        const auto move = [](T& r, double to) { store(r, load(r) + batch_norm_momentum * (to - load(r))); };
        move(running_mean[c], mean[c]);
        move(running_variance[c], unbiased);
        store(saved[c], mean[c]);
        store(saved[channels + c], inverse_deviation);
        store(saved[2 * channels + c], scale);
        store(saved[3 * channels + c], load(beta[c]) - mean[c] * scale);
    }
    if (op.y.present()) apply<Element>(op, saved + 2 * channels, saved + 3 * channels);
}

template <class T, class Element> void normalise(const batch_norm_inference& op, double* workspace) {
    const std::int64_t channels = rows_of(op.x).channels;
    const auto *gamma = elements<const T>(op.gamma), *beta = elements<const T>(op.beta);
    const auto *mean = elements<const T>(op.running_mean), *variance = elements<const T>(op.running_variance);
    auto* saved = elements<T>(op.saved);
    double *scale = workspace, *shift = workspace + channels;
    for (std::int64_t c = 0; c < channels; ++c) {
        const double inverse_deviation = 1 / std::sqrt(load(variance[c]) + batch_norm_epsilon);
        scale[c] = load(gamma[c]) * inverse_deviation;
        shift[c] = load(beta[c]) - load(mean[c]) * scale[c];
        if (saved == nullptr) continue;
        saved[c] = mean[c];
        store(saved[channels + c], inverse_deviation);
        store(saved[2 * channels + c], scale[c]);
        store(saved[3 * channels + c], shift[c]);
    }
    if (op.y.present()) apply<Element>(op, scale, shift);
}

// The gradient that reaches the normalised sum: dy + dy2?, cut where ReLU was.
template <class T, class Element> class incoming_gradient {
  public:
    explicit incoming_gradient(const batch_norm_backward& op)
        : dy_(elements<const Element>(op.dy)),
          dy2_(elements<const Element>(op.dy2)),
          x_(elements<const Element>(op.x)),
          y_(elements<const Element>(op.y)),
          saved_(elements<const T>(op.saved)),
          channels_(op.x.desc.dims[1]),
          relu_(op.relu) {}

    [[nodiscard]] double at(std::int64_t i, std::int64_t c) const noexcept {
        if (relu_ && output(i, c) <= 0) return 0;
        return load(dy_[i]) + (dy2_ != nullptr ? load(dy2_[i]) : 0);
    }

  private:
    [[nodiscard]] double output(std::int64_t i, std::int64_t c) const noexcept {
        return y_ != nullptr
                   ? load(y_[i])
                   : load(saved_[2 * channels_ + c]) * load(x_[i]) + load(saved_[3 * channels_ + c]);
    }

    const Element *dy_, *dy2_, *x_, *y_;
    const T* saved_;
    std::int64_t channels_;
    bool relu_;
};

template <class T, class Element> void differentiate(const batch_norm_backward& op, double* sums) {
    const auto [channels, count] = rows_of(op.x);
    const auto* x = elements<const Element>(op.x);
    const auto* saved = elements<const T>(op.saved);
    const auto *mean = saved, *inverse_deviation = saved + channels, *scale = saved + 2 * channels;
    auto *dx = elements<Element>(op.dx), *dresidual = elements<Element>(op.dresidual);
    auto *dgamma = elements<T>(op.dgamma), *dbeta = elements<T>(op.dbeta);
    const incoming_gradient<T, Element> gradient(op);
    const auto normalised = [&](std::int64_t i, std::int64_t c) {
        return (load(x[i]) - load(mean[c])) * load(inverse_deviation[c]);
    };

    double *sum_g = sums, *sum_g_xhat = sums + channels;
    std::fill_n(sums, 2 * channels, 0.0);
    for (std::int64_t m = 0; m < count; ++m)
        for (std::int64_t c = 0; c < channels; ++c) {
            const std::int64_t i = m * channels + c;
            const double g = gradient.at(i, c);
            sum_g[c] += g;
            sum_g_xhat[c] += g * normalised(i, c);
        }
    for (std::int64_t c = 0; c < channels; ++c) {
        store(dbeta[c], sum_g[c]);
        store(dgamma[c], sum_g_xhat[c]);
    }
    const double share = 1 / static_cast<double>(count);
    for (std::int64_t m = 0; m < count; ++m)
        for (std::int64_t c = 0; c < channels; ++c) {
            const std::int64_t i = m * channels + c;
            const double g = gradient.at(i, c); // before dx or dresidual, which may be dy, is written
            if (dresidual != nullptr) store(dresidual[i], g);
            if (dx != nullptr)
                store(dx[i],
                      load(scale[c]) * (g - sum_g[c] * share - normalised(i, c) * sum_g_xhat[c] * share));
        }
}

} // namespace

template <class T> std::unique_ptr<operation> prepare(const batch_norm_forward& op) {
    return with_element<T>(op.x.desc.type, [&]<class Element>(Element) {
        return make_loops(2 * op.x.desc.dims[1], [op](double* sums) { normalise<T, Element>(op, sums); });
    });
}

template <class T> std::unique_ptr<operation> prepare(const batch_norm_inference& op) {
    return with_element<T>(op.x.desc.type, [&]<class Element>(Element) {
        return make_loops(2 * op.x.desc.dims[1],
                          [op](double* scratch) { normalise<T, Element>(op, scratch); });
    });
}

template <class T> std::unique_ptr<operation> prepare(const batch_norm_backward& op) {
    return with_element<T>(op.x.desc.type, [&]<class Element>(Element) {
        return make_loops(2 * op.x.desc.dims[1], [op](double* sums) { differentiate<T, Element>(op, sums); });
    });
}

template std::unique_ptr<operation> prepare<float>(const batch_norm_forward&);
template std::unique_ptr<operation> prepare<double>(const batch_norm_forward&);
template std::unique_ptr<operation> prepare<float>(const batch_norm_inference&);
template std::unique_ptr<operation> prepare<double>(const batch_norm_inference&);
template std::unique_ptr<operation> prepare<float>(const batch_norm_backward&);
template std::unique_ptr<operation> prepare<double>(const batch_norm_backward&);

} // namespace petnet::kernels::reference
