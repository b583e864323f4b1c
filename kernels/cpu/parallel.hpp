// SPDX-License-Identifier: Apache-2.0
// How the loops are shared out: a tensor is cut into pieces that fit in the second-level cache, and every
// thread takes one contiguous run of pieces, so that a result depends on the number of threads but on nothing
// else.
#pragma once

#include "kernels/cpu/context.hpp"
#include "kernels/cpu/loops.hpp"

#include <algorithm>
#include <cstdint>
#include <omp.h>
#include <utility>

namespace petnet::kernels::cpu {

inline constexpr std::int64_t piece_elements = 16 * 1024; // 64 KiB of f32: x, y and a gradient fit together

// The f32 or the bf16 instance of an operation, by the dtype of its activations.
template <template <typename> class Operation, typename... Arguments>
[[nodiscard]] std::unique_ptr<operation> make_for(dtype type, Arguments&&... values) {
    if (type == dtype::bf16) return std::make_unique<Operation<bf16>>(std::forward<Arguments>(values)...);
    return std::make_unique<Operation<float>>(std::forward<Arguments>(values)...);
}

// The view's memory as elements of T; null for an absent view.
template <typename T> [[nodiscard]] T* elements(const tensor_view& view) {
    return reinterpret_cast<T*>(view.data);
}

struct piece {
    std::int64_t first_element, rows, first_channel;
};

// Calls body(piece, thread) for each piece of the view; returns when all are done.
template <typename Body> void for_each_piece(const row_view& view, int threads, const Body& body) {
    const std::int64_t rows = std::max<std::int64_t>(1, piece_elements / view.channels);
    const std::int64_t per_plane = (view.rows + rows - 1) / rows;
    const std::int64_t pieces = view.planes * per_plane;
#pragma omp parallel num_threads(threads)
    {
        const auto thread = static_cast<std::int64_t>(omp_get_thread_num());
        const auto count = static_cast<std::int64_t>(omp_get_num_threads());
        for (std::int64_t i = pieces * thread / count; i < pieces * (thread + 1) / count; ++i) {
            const std::int64_t plane = i / per_plane, first_row = i % per_plane * rows;
            body(piece{(plane * view.rows + first_row) * view.channels, std::min(rows, view.rows - first_row),
                       plane % view.channel_blocks * view.channels},
                 static_cast<int>(thread));
        }
    }
}

} // namespace petnet::kernels::cpu
