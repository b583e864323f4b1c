// SPDX-License-Identifier: Apache-2.0
// NCCL is loaded when several processes train, not linked: petnet starts where it is missing.
#pragma once

#include <nccl.h>

namespace petnet::kernels::cuda {

// The functions of NCCL that petnet calls, under their own names.
struct nccl_library {
    decltype(&ncclGetUniqueId) get_unique_id;
    decltype(&ncclCommInitRank) comm_init_rank;
    decltype(&ncclCommDestroy) comm_destroy;
    decltype(&ncclAllReduce) all_reduce;
    decltype(&ncclGroupStart) group_start;
    decltype(&ncclGroupEnd) group_end;
    decltype(&ncclGetErrorString) error_string;
};

// Found where the dynamic linker looks. environment_error where there is none, or it is older than 2.10, the
// first that makes means.
[[nodiscard]] const nccl_library& load_nccl();

} // namespace petnet::kernels::cuda
