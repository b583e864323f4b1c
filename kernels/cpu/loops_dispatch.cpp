// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/instruction_set.hpp"
#include "kernels/cpu/loops.hpp"
#include "kernels/cpu/sampling_loops.hpp"
#include "kernels/cpu/winograd_loops.hpp"

namespace petnet::kernels::cpu {
namespace {

template <typename Table>
const Table& pick(const Table& plain, const Table& wide, const Table& widest_table) {
    switch (widest_instruction_set()) {
    case instruction_set::avx512:
        return widest_table;
    case instruction_set::avx2:
        return wide;
    case instruction_set::baseline:
        break;
    }
    return plain;
}

} // namespace

template <> const loops<float>& best_loops<float>() {
    return pick(baseline::float_loops, avx2::float_loops, avx512::float_loops);
}
template <> const loops<bf16>& best_loops<bf16>() {
    return pick(baseline::bf16_loops, avx2::bf16_loops, avx512::bf16_loops);
}
template <> const sampling_loops<float>& best_sampling_loops<float>() {
    return pick(baseline::float_sampling_loops, avx2::float_sampling_loops, avx512::float_sampling_loops);
}
template <> const sampling_loops<bf16>& best_sampling_loops<bf16>() {
    return pick(baseline::bf16_sampling_loops, avx2::bf16_sampling_loops, avx512::bf16_sampling_loops);
}
adam_loop best_adam_loop() { return pick(baseline::adam, avx2::adam, avx512::adam); }

const winograd_loops* best_winograd_loops() {
    switch (widest_instruction_set()) {
    case instruction_set::avx512:
        return &avx512::winograd;
    case instruction_set::avx2:
        return &avx2::winograd;
    case instruction_set::baseline:
        break;
    }
    return nullptr;
}

} // namespace petnet::kernels::cpu
