// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/instruction_set.hpp"

#include "kernels/cpu/onednn.hpp"

namespace petnet::kernels::cpu {
namespace {

instruction_set widest() {
    // AVX-512 with BW, DQ and VL, which every such processor since Skylake-SP has.
    if (onednn_allows(dnnl::cpu_isa::avx512_core)) return instruction_set::avx512;
    if (onednn_allows(dnnl::cpu_isa::avx2) && __builtin_cpu_supports("fma")) return instruction_set::avx2;
    return instruction_set::baseline;
}

} // namespace

instruction_set widest_instruction_set() {
    static const instruction_set set = widest();
    return set;
}

const char* name_of(instruction_set set) {
    switch (set) {
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
