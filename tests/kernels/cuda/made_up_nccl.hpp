// SPDX-License-Identifier: Apache-2.0
// A NCCL that the tests make up, in the place of nccl_library.cpp: there is one other process, whose elements
// all have the same value.
#pragma once

namespace petnet::kernels::cuda {

struct made_up_nccl {
    float of_peer = 0;
    bool at_once = false; // the stream of the sums works as soon as it may; else as late as it may
};
inline made_up_nccl nccl;

} // namespace petnet::kernels::cuda
