// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <cmath>

namespace petnet::kernels::reference {
namespace {

// The extents of an activation and the place of an element in channels-last order.
struct plane {
    explicit plane(const shape& dims) : batch(dims[0]), channels(dims[1]), height(dims[2]), width(dims[3]) {}
    [[nodiscard]] std::int64_t at(std::int64_t n, std::int64_t c, std::int64_t h,
                                  std::int64_t w) const noexcept {
        return ((n * height + h) * width + w) * channels + c;
    }
    std::int64_t batch, channels, height, width;
};

// Calls visit(n, c, h, w) in storage order.
template <class Visit> void for_each_element(const plane& of, const Visit& visit) {
    for (std::int64_t n = 0; n < of.batch; ++n)
        for (std::int64_t h = 0; h < of.height; ++h)
            for (std::int64_t w = 0; w < of.width; ++w)
                for (std::int64_t c = 0; c < of.channels; ++c) visit(n, c, h, w);
}

// The first maximum seen; NaN counts as larger than any number, so that it is not lost.
struct running_maximum {
    void see(double candidate, std::int64_t position) noexcept {
        if (index >= 0 && !(candidate > value) && !(std::isnan(candidate) && !std::isnan(value))) return;
        value = candidate;
        index = position;
    }
    double value = 0;
    std::int64_t index = -1;
};

template <class T, class Element> void max_pool(const max_pool_forward& op) {
    const plane in(op.x.desc.dims), out(op.y.desc.dims);
    const auto* x = elements<const Element>(op.x);
    const auto* saved = elements<const T>(op.saved);
    auto* y = elements<Element>(op.y);
    auto* argmax = elements<std::uint8_t>(op.argmax);
    for_each_element(out, [&](std::int64_t n, std::int64_t c, std::int64_t p, std::int64_t q) {
        running_maximum maximum;
        for (std::int64_t position = 0; position < 9; ++position) {
            const std::int64_t h = 2 * p - 1 + position / 3, w = 2 * q - 1 + position % 3;
            if (h < 0 || h >= in.height || w < 0 || w >= in.width) continue;
            double a = load(x[in.at(n, c, h, w)]);
            if (saved != nullptr)
                a = relu(load(saved[2 * in.channels + c]) * a + load(saved[3 * in.channels + c]));
            maximum.see(a, position);
        }
        store(y[out.at(n, c, p, q)], maximum.value);
        if (argmax != nullptr) argmax[out.at(n, c, p, q)] = static_cast<std::uint8_t>(maximum.index);
    });
}

template <class Element> void max_pool_gradient(const max_pool_backward& op) {
    const plane in(op.dx.desc.dims), out(op.dy.desc.dims);
    const auto *dy = elements<const Element>(op.dy), *dy2 = elements<const Element>(op.dy2);
    const auto* argmax = elements<const std::uint8_t>(op.argmax);
    auto* dx = elements<Element>(op.dx);
    for_each_element(in, [&](std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
        double sum = 0;
        for (std::int64_t p = h / 2; p <= (h + 1) / 2 && p < out.height; ++p)
            for (std::int64_t q = w / 2; q <= (w + 1) / 2 && q < out.width; ++q) {
                const std::int64_t window = out.at(n, c, p, q);
                if (argmax[window] != 3 * (h - 2 * p + 1) + (w - 2 * q + 1)) continue;
                sum += load(dy[window]) + (dy2 != nullptr ? load(dy2[window]) : 0);
            }
        store(dx[in.at(n, c, h, w)], sum);
    });
}

template <class T, class Element> void concat_pool(const concat_pool_forward& op) {
    const plane in(op.x.desc.dims);
    const auto* x = elements<const Element>(op.x);
    auto* y = elements<T>(op.y);
    auto* argmax = elements<std::int32_t>(op.argmax);
    for (std::int64_t n = 0; n < in.batch; ++n)
        for (std::int64_t c = 0; c < in.channels; ++c) {
            running_maximum maximum;
            double sum = 0;
            for (std::int64_t i = 0; i < in.height * in.width; ++i) {
                const double value = load(x[in.at(n, c, 0, i)]);
                maximum.see(value, i);
                sum += value;
            }
            store(y[n * 2 * in.channels + c], maximum.value);
            store(y[(n * 2 + 1) * in.channels + c], sum / static_cast<double>(in.height * in.width));
            if (argmax != nullptr) argmax[n * in.channels + c] = static_cast<std::int32_t>(maximum.index);
        }
}

template <class T, class Element> void concat_pool_gradient(const concat_pool_backward& op) {
    const plane in(op.dx.desc.dims);
    const auto* dy = elements<const T>(op.dy);
    const auto* argmax = elements<const std::int32_t>(op.argmax);
    auto* dx = elements<Element>(op.dx);
    for_each_element(in, [&](std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
        double gradient = load(dy[(n * 2 + 1) * in.channels + c]) / static_cast<double>(in.height * in.width);
        if (argmax != nullptr && argmax[n * in.channels + c] == h * in.width + w)
            gradient += load(dy[n * 2 * in.channels + c]);
        store(dx[in.at(n, c, h, w)], gradient);
    });
}

} // namespace

template <class T> std::unique_ptr<operation> prepare(const max_pool_forward& op) {
    return with_element<T>(op.x.desc.type, [&]<class Element>(Element) {
        return make_loops(0, [op](double*) { max_pool<T, Element>(op); });
    });
}

template <class T> std::unique_ptr<operation> prepare(const max_pool_backward& op) {
    return with_element<T>(op.dx.desc.type, [&]<class Element>(Element) {
        return make_loops(0, [op](double*) { max_pool_gradient<Element>(op); });
    });
}

template <class T> std::unique_ptr<operation> prepare(const concat_pool_forward& op) {
    return with_element<T>(op.x.desc.type, [&]<class Element>(Element) {
        return make_loops(0, [op](double*) { concat_pool<T, Element>(op); });
    });
}

template <class T> std::unique_ptr<operation> prepare(const concat_pool_backward& op) {
    return with_element<T>(op.dx.desc.type, [&]<class Element>(Element) {
        return make_loops(0, [op](double*) { concat_pool_gradient<T, Element>(op); });
    });
}

template std::unique_ptr<operation> prepare<float>(const max_pool_forward&);
template std::unique_ptr<operation> prepare<double>(const max_pool_forward&);
template std::unique_ptr<operation> prepare<float>(const max_pool_backward&);
template std::unique_ptr<operation> prepare<double>(const max_pool_backward&);
template std::unique_ptr<operation> prepare<float>(const concat_pool_forward&);
template std::unique_ptr<operation> prepare<double>(const concat_pool_forward&);
template std::unique_ptr<operation> prepare<float>(const concat_pool_backward&);
template std::unique_ptr<operation> prepare<double>(const concat_pool_backward&);

} // namespace petnet::kernels::reference
