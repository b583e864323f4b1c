// SPDX-License-Identifier: Apache-2.0
#include "base/random.hpp"
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

namespace petnet::kernels::reference {

template <class T> std::unique_ptr<operation> prepare(const dropout& op) {
    return make_loops(0, [op](double*) {
        const auto* x = elements<const T>(op.x);
        const auto* row_keys = elements<const std::uint64_t>(op.row_keys);
        auto* y = elements<T>(op.y);
        const std::int64_t batch = op.x.desc.dims[0], features = op.x.desc.dims[1];
        for (std::int64_t n = 0; n < batch; ++n) {
            const random_key key = random_key::from_state(row_keys[n]).child(op.layer);
            for (std::int64_t i = 0; i < features; ++i) {
                const bool keep = key.uniform(static_cast<std::uint64_t>(i)) >= op.probability;
                const std::int64_t at = n * features + i;
                store(y[at], keep ? load(x[at]) / (1 - op.probability) : 0);
            }
        }
    });
}

template std::unique_ptr<operation> prepare<float>(const dropout&);
template std::unique_ptr<operation> prepare<double>(const dropout&);

} // namespace petnet::kernels::reference
