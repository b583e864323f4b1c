// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <cmath>

namespace petnet::kernels::reference {

template <class T> std::unique_ptr<operation> prepare(const adam_step& op) {
    return make_loops(0, [op](double*) {
        for (const adam_parameter& parameter : op.parameters) {
            const auto* settings =
                elements<const T>(op.settings) + parameter.settings_row * adam_settings_columns;
            const double lr = load(settings[0]), momentum = load(settings[1]);
            const double momentum_correction = load(settings[2]), beta2_correction = load(settings[3]);
            const double kept = parameter.decay ? 1 - lr * op.weight_decay : 1;
            auto *p = elements<T>(parameter.p), *m = elements<T>(parameter.m), *v = elements<T>(parameter.v);
            const auto* g = elements<const T>(parameter.g);
            const std::int64_t count = parameter.p.desc.dims.elements();
            for (std::int64_t i = 0; i < count; ++i) {
                const double gradient = load(g[i]);
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

template std::unique_ptr<operation> prepare<float>(const adam_step&);
template std::unique_ptr<operation> prepare<double>(const adam_step&);

} // namespace petnet::kernels::reference
