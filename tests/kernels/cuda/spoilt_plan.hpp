// SPDX-License-Identifier: Apache-2.0
// Plans that do something wrong, for what has to notice. On the host's emulation of CUDA.
#pragma once

#include "base/errors.hpp"
#include "cuda_host/control.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/element.cuh"
#include "tests/kernels/cuda/plain_convolutions.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace petnet::testing {

// A plan that does something to the results of the right one, or does not work.
class spoilt_plan final : public kernels::cuda::convolution_plan {
  public:
    using spoil = std::function<void(const kernels::cuda::convolution_operands&)>;
    spoilt_plan(std::shared_ptr<kernels::cuda::convolution_plan> right, spoil how)
        : right_(std::move(right)), how_(std::move(how)) {}
    [[nodiscard]] std::size_t workspace_bytes() const override { return right_->workspace_bytes(); }
    void execute(const kernels::cuda::convolution_operands& on, std::byte* workspace,
                 cudaStream_t stream) override {
        if (!how_) throw environment_error("made up");
        right_->execute(on, workspace, stream);
        cuda_host::enqueue(stream, [on, how = how_] { how(on); });
    }

  private:
    std::shared_ptr<kernels::cuda::convolution_plan> right_;
    spoil how_;
};

// Of a float16 result.
inline kernels::cuda::f16& element(const kernels::cuda::convolution_operands& on, std::int64_t i) {
    return reinterpret_cast<kernels::cuda::f16*>(on.result)[i];
}

} // namespace petnet::testing
