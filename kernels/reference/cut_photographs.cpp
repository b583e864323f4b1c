// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <algorithm>
#include <array>

namespace petnet::kernels::reference {
namespace {

using colour = std::array<std::uint8_t, 3>;

// The point of the square at position i along the free axis, j across it.
colour resampled(const std::uint8_t* store, const std::int32_t* tables, const cut_place& place,
                 std::uint64_t i, std::uint64_t j) {
    const std::uint64_t along = place.vertical != 0 ? place.stride : 3;
    const std::uint64_t across = place.vertical != 0 ? 3 : place.stride;
    const std::int32_t* table = tables + place.table + i * (2 + place.taps);
    const auto first = static_cast<std::uint64_t>(table[0]), count = static_cast<std::uint64_t>(table[1]);
    colour result{};
    for (std::size_t c = 0; c < result.size(); ++c) {
        std::int64_t sum = 0;
        for (std::uint64_t k = 0; k < count; ++k)
            sum += std::int64_t{table[2 + k]} * store[place.source + (first + k) * along + j * across + c];
        result[c] = static_cast<std::uint8_t>(std::clamp<std::int64_t>((sum + (1 << 21)) >> 22, 0, 255));
    }
    return result;
}

} // namespace

template <class T> std::unique_ptr<operation> prepare(const cut_photographs& op) {
    return make_loops(0, [op](double*) {
        const auto* store = elements<const std::uint8_t>(op.store);
        const auto* tables = elements<const std::int32_t>(op.tables);
        const auto* places = elements<const cut_place>(op.places);
        auto* pixel = elements<std::uint8_t>(op.pixels);
        const auto batch = static_cast<std::uint64_t>(op.pixels.desc.dims[0]);
        const auto size = static_cast<std::uint64_t>(op.pixels.desc.dims[1]);
        for (std::uint64_t n = 0; n < batch; ++n)
            for (std::uint64_t row = 0; row < size; ++row)
                for (std::uint64_t column = 0; column < size; ++column) {
                    const bool vertical = places[n].vertical != 0;
                    const colour found =
                        resampled(store, tables, places[n], vertical ? row : column, vertical ? column : row);
                    pixel = std::ranges::copy(found, pixel).out;
                }
    });
}

template std::unique_ptr<operation> prepare<float>(const cut_photographs&);
template std::unique_ptr<operation> prepare<double>(const cut_photographs&);

} // namespace petnet::kernels::reference
