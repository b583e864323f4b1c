// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

namespace petnet::kernels::reference {

template <class T> std::unique_ptr<operation> prepare(const photo_to_tensor& op) {
    return with_element<T>(op.y.desc.type, [&]<class Element>(Element) {
        return make_loops(0, [op](double*) {
            const auto* pixels = elements<const std::uint8_t>(op.pixels);
            auto* y = elements<Element>(op.y); // channels last, as the pixels are
            const std::int64_t count = op.pixels.desc.dims.elements();
            for (std::int64_t i = 0; i < count; ++i) {
                const auto c = static_cast<std::size_t>(i % 3);
                store(y[i], (pixels[i] / 255.0 - load(op.mean[c])) / load(op.deviation[c]));
            }
        });
    });
}

template std::unique_ptr<operation> prepare<float>(const photo_to_tensor&);
template std::unique_ptr<operation> prepare<double>(const photo_to_tensor&);

} // namespace petnet::kernels::reference
