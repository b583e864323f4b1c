// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/nccl_all_reduce.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/nccl_library.hpp"
#include "kernels/cuda/resources.hpp"

#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

class nccl_all_reduce final : public all_reduce {
  public:
    nccl_all_reduce(cudaStream_t compute, const process_group& processes)
        : nccl_(load_nccl()), compute_(compute) {
        ncclUniqueId id{};
        if (processes.rank == 0) check_nccl(nccl_.get_unique_id(&id), "making a name for the processes");
        processes.broadcast(std::as_writable_bytes(std::span(&id, 1)));
        ncclComm_t made = nullptr;
        check_nccl(nccl_.comm_init_rank(&made, processes.size, id, processes.rank),
                   "connecting the processes' GPUs");
        communicator_ = communicator(made, nccl_.comm_destroy);
    }

    std::unique_ptr<operation> begin(std::vector<tensor_view> tensors) override {
        return make_operation(0, [this, tensors = std::move(tensors), ready = make_event()](std::byte*) {
            check(cudaEventRecord(ready.get(), compute_), doing);
            check(cudaStreamWaitEvent(sums_.get(), ready.get(), 0), doing);
            check_nccl(nccl_.group_start(), doing); // all of them as one launch
            for (const tensor_view& tensor : tensors) {
                auto* values = elements<float>(tensor);
                check_nccl(nccl_.all_reduce(values, values,
                                            static_cast<std::size_t>(stored_elements(tensor.desc)), ncclFloat,
                                            ncclAvg, communicator_.get(), sums_.get()),
                           doing);
            }
            check_nccl(nccl_.group_end(), doing);
        });
    }

    std::unique_ptr<operation> finish() override {
        return make_operation(0, [this, done = make_event()](std::byte*) {
            check(cudaEventRecord(done.get(), sums_.get()), doing);
            check(cudaStreamWaitEvent(compute_, done.get(), 0), doing);
        });
    }

  private:
    static constexpr const char* doing = "averaging gradients over the processes";
    using communicator =
        std::unique_ptr<std::remove_pointer_t<ncclComm_t>, decltype(nccl_library::comm_destroy)>;

    void check_nccl(ncclResult_t result, const char* what) const {
        if (result != ncclSuccess)
            throw environment_error(std::string("NCCL failed while ") + what + ": " +
                                    nccl_.error_string(result));
    }

    const nccl_library& nccl_;
    cudaStream_t compute_;
    stream sums_ = make_stream();
    communicator communicator_{nullptr, nullptr};
};

} // namespace

std::unique_ptr<all_reduce> make_nccl_all_reduce(cudaStream_t compute, const process_group& processes) {
    return std::make_unique<nccl_all_reduce>(compute, processes);
}

} // namespace petnet::kernels::cuda
