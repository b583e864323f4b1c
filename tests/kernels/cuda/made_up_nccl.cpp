// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/cuda/made_up_nccl.hpp"

#include "cuda_host/control.hpp"
#include "kernels/cuda/nccl_library.hpp"

#include <cstddef>
#include <span>

namespace petnet::kernels::cuda {
namespace {

ncclResult_t make_name(ncclUniqueId* id) {
    *id = {};
    return ncclSuccess;
}
ncclResult_t connect(ncclComm_t* made, int, ncclUniqueId, int) {
    static int anything;
    *made = reinterpret_cast<ncclComm_t>(&anything);
    return ncclSuccess;
}
ncclResult_t disconnect(ncclComm_t) { return ncclSuccess; }
ncclResult_t average(const void*, void* values, std::size_t count, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                     cudaStream_t stream) {
    cuda_host::enqueue(stream, [all = std::span(static_cast<float*>(values), count)] {
        for (float& value : all) value = (value + nccl.of_peer) / 2;
    });
    if (nccl.at_once) static_cast<void>(cudaStreamSynchronize(stream));
    return ncclSuccess;
}
ncclResult_t begin_or_end() { return ncclSuccess; }
const char* text(ncclResult_t) { return "made up"; }

} // namespace

const nccl_library& load_nccl() {
    static const nccl_library library{make_name,    connect,      disconnect, average,
                                      begin_or_end, begin_or_end, text};
    return library;
}

} // namespace petnet::kernels::cuda
