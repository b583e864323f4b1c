// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace petnet::kernels::reference {

template <class T> std::unique_ptr<operation> prepare(const softmax_cross_entropy& op) {
    return make_loops(0, [op](double*) {
        const auto* target = elements<const std::int32_t>(op.target);
        auto *row_loss = elements<T>(op.row_loss), *loss = elements<T>(op.loss);
        auto* predictions = elements<std::int32_t>(op.predictions);
        const std::int64_t batch = op.logits.desc.dims[0], classes = op.logits.desc.dims[1];
        const double scale = op.loss_scale.present() ? load(*elements<const T>(op.loss_scale)) : 1;
        double total = 0;
        for (std::int64_t n = 0; n < batch; ++n) {
            const auto* logits = elements<const T>(op.logits) + n * classes;
            const auto* largest = std::max_element(logits, logits + classes);
            predictions[n] = static_cast<std::int32_t>(largest - logits);
            const double maximum = load(*largest);
            double sum = 0;
            for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(load(logits[c]) - maximum);
            const bool known = target[n] >= 0 && target[n] < classes;
            const double loss_of_row = known ? std::log(sum) - (load(logits[target[n]]) - maximum)
                                             : std::numeric_limits<double>::quiet_NaN();
            store(row_loss[n], loss_of_row);
            total += loss_of_row;
            if (!op.dlogits.present()) continue;
            auto* dlogits =
                elements<T>(op.dlogits) + n * classes; // may be the logits: each read before its write
            for (std::int64_t c = 0; c < classes; ++c) {
                const double probability = std::exp(load(logits[c]) - maximum) / sum;
                store(dlogits[c],
                      scale * (probability - (c == target[n] ? 1 : 0)) / static_cast<double>(batch));
            }
        }
        store(loss[0], total / static_cast<double>(batch));
    });
}

template std::unique_ptr<operation> prepare<float>(const softmax_cross_entropy&);
template std::unique_ptr<operation> prepare<double>(const softmax_cross_entropy&);

} // namespace petnet::kernels::reference
