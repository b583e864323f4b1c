// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <algorithm>
#include <cmath>

namespace petnet::kernels::reference {

template <class T> std::unique_ptr<operation> prepare(const loss_scale_update& op) {
    return make_loops(0, [op](double*) {
        bool finite = true;
        for (const tensor_view& gradient : op.gradients) {
            const auto* g = elements<const T>(gradient);
            const std::int64_t count = gradient.desc.dims.elements();
            finite = finite && std::all_of(g, g + count, [](T value) { return std::isfinite(value); });
        }
        update_loss_scale(elements<T>(op.state), finite);
    });
}

template <class T> std::unique_ptr<operation> prepare(const adam_step& op) {
    return make_loops(0, [op](double*) {
        const auto* state = elements<const T>(op.loss_scale);
        const double inverse_scale = state != nullptr ? load(state[1]) : 1;
        const double skipped = state != nullptr ? load(state[3]) : 0;
        if (inverse_scale == 0) return;
        for (const adam_parameter& parameter : op.parameters) {
            const auto* settings =
                elements<const T>(op.settings) + parameter.settings_row * adam_settings_columns;
            const double lr = load(settings[0]), momentum = load(settings[1]);
            const double t = load(settings[2]) - skipped;
            const double momentum_correction = 1 - std::pow(momentum, t);
            const double beta2_correction = 1 - std::pow(op.beta2, t);
            const double kept = parameter.decay ? 1 - lr * op.weight_decay : 1;
            auto *p = elements<T>(parameter.p), *m = elements<T>(parameter.m), *v = elements<T>(parameter.v);
            const auto* g = elements<const T>(parameter.g);
            const std::int64_t count = parameter.p.desc.dims.elements();
            for (std::int64_t i = 0; i < count; ++i) {
                const double gradient = load(g[i]) * inverse_scale;
                const double mean = momentum * load(m[i]) + (1 - momentum) * gradient;
                const double square = op.beta2 * load(v[i]) + (1 - op.beta2) * gradient * gradient;
                const double step = mean / (std::sqrt(square / beta2_correction) + op.epsilon);
                store(m[i], mean);
                store(v[i], square);
                store(p[i], load(p[i]) * kept - lr / momentum_correction * step);
            }
        }
    });
}

template std::unique_ptr<operation> prepare<float>(const loss_scale_update&);
template std::unique_ptr<operation> prepare<double>(const loss_scale_update&);
template std::unique_ptr<operation> prepare<float>(const adam_step&);
template std::unique_ptr<operation> prepare<double>(const adam_step&);

} // namespace petnet::kernels::reference
