// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/loops.hpp"
#include "kernels/cpu/sampling_loops.hpp"
#include "kernels/cpu/winograd_loops.hpp"

namespace petnet::kernels::cpu {
namespace {

enum class instruction_set { baseline, avx2, avx512 };

instruction_set widest() {
    // Every AVX-512 processor since Skylake-SP has all four; the flags of loops.cpp assume them.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return instruction_set::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return instruction_set::avx2;
    return instruction_set::baseline;
}

const instruction_set chosen = widest();

template <typename Table>
const Table& pick(const Table& plain, const Table& wide, const Table& widest_table) {
    switch (chosen) {
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
    return chosen == instruction_set::avx512 ? &avx512::winograd : nullptr;
}

const char* best_loops_name() {
    switch (chosen) {
    case instruction_set::avx512:
        return "AVX-512";
    case instruction_set::avx2:
        return "AVX2";
    case instruction_set::baseline:
        break;
    }
    return "baseline x86-64";
}

} // namespace petnet::kernels::cpu
