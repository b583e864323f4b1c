// SPDX-License-Identifier: Apache-2.0
// Which of the instruction sets that the loops are compiled for is used.
#pragma once

namespace petnet::kernels::cpu {

enum class instruction_set { baseline, avx2, avx512 };

// The widest that this processor runs, as far as oneDNN's environment variable ONEDNN_MAX_CPU_ISA allows it:
// set to AVX2 or SSE41, all of petnet runs as on a smaller processor. The same for the whole process.
[[nodiscard]] instruction_set widest_instruction_set();
// "AVX-512", "AVX2" or "baseline x86-64"; for doctor.
[[nodiscard]] const char* name_of(instruction_set set);

} // namespace petnet::kernels::cpu
