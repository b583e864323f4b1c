// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <algorithm>

namespace petnet::kernels::reference {

template <class T> std::unique_ptr<operation> prepare(const linear_forward& op) {
    return make_loops(0, [op](double*) {
        const auto *x = elements<const T>(op.x), *w = elements<const T>(op.w);
        auto* y = elements<T>(op.y);
        const std::int64_t batch = op.x.desc.dims[0], in = op.x.desc.dims[1], out = op.w.desc.dims[0];
        for (std::int64_t n = 0; n < batch; ++n)
            for (std::int64_t o = 0; o < out; ++o) {
                double sum = 0;
                for (std::int64_t i = 0; i < in; ++i) sum += load(x[n * in + i]) * load(w[o * in + i]);
                store(y[n * out + o], op.relu ? relu(sum) : sum);
            }
    });
}

template <class T> std::unique_ptr<operation> prepare(const linear_backward& op) {
    const std::int64_t in = op.x.desc.dims[1];
    return make_loops(in, [op, in](double* row) {
        const auto *x = elements<const T>(op.x), *w = elements<const T>(op.w), *y = elements<const T>(op.y);
        auto *g = elements<T>(op.dy), *dx = elements<T>(op.dx), *dw = elements<T>(op.dw);
        const std::int64_t batch = op.x.desc.dims[0], out = op.w.desc.dims[0];
        if (op.relu)
            for (std::int64_t i = 0; i < batch * out; ++i)
                if (y[i] <= 0) g[i] = 0;
        // Sums run over rows, so that the inner loops are contiguous.
        for (std::int64_t o = 0; o < out; ++o) {
            std::fill_n(row, in, 0.0);
            for (std::int64_t n = 0; n < batch; ++n)
                for (std::int64_t i = 0; i < in; ++i) row[i] += load(g[n * out + o]) * load(x[n * in + i]);
            for (std::int64_t i = 0; i < in; ++i) store(dw[o * in + i], row[i]);
        }
        for (std::int64_t n = 0; n < batch; ++n) {
            std::fill_n(row, in, 0.0);
            for (std::int64_t o = 0; o < out; ++o)
                for (std::int64_t i = 0; i < in; ++i) row[i] += load(g[n * out + o]) * load(w[o * in + i]);
            for (std::int64_t i = 0; i < in; ++i) store(dx[n * in + i], row[i]);
        }
    });
}

template std::unique_ptr<operation> prepare<float>(const linear_forward&);
template std::unique_ptr<operation> prepare<double>(const linear_forward&);
template std::unique_ptr<operation> prepare<float>(const linear_backward&);
template std::unique_ptr<operation> prepare<double>(const linear_backward&);

} // namespace petnet::kernels::reference
