// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/plan_timer.hpp"

#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/trial_memory.hpp"

#include <utility>

namespace petnet::kernels::cuda {

plan_timer::plan_timer(cudaStream_t on_stream, device_buffer a, device_buffer b,
                       device_buffer scale_and_shift, device_buffer result, device_buffer workspace)
    : clock_(on_stream),
      a_(std::move(a)),
      b_(std::move(b)),
      scale_and_shift_(std::move(scale_and_shift)),
      result_(std::move(result)),
      workspace_(std::move(workspace)) {}

std::unique_ptr<plan_timer> plan_timer::make(cudaStream_t on_stream, const stored_convolution& problem,
                                             std::size_t workspace_bytes) {
    const auto bytes_of = [&](const shape& dims) {
        return static_cast<std::size_t>(dims.elements()) * element_bytes(problem.activations);
    };
    const std::size_t vectors = problem.through_norm ? bytes_of({2, problem.shape.in_channels}) : 0;
    const std::size_t x = bytes_of(problem.shape.x()), w = bytes_of(problem.shape.w()),
                      y = bytes_of(problem.shape.y());
    std::size_t a_bytes = x, b_bytes = w, result_bytes = y;
    if (problem.kind == convolution_kind::backward_data) std::swap(a_bytes, result_bytes);
    if (problem.kind == convolution_kind::backward_weights) std::swap(b_bytes, result_bytes);

    device_buffer a = try_device_buffer(a_bytes), b = try_device_buffer(b_bytes),
                  scale_and_shift = try_device_buffer(vectors), result = try_device_buffer(result_bytes),
                  workspace = try_device_buffer(workspace_bytes);
    if (!a || !b || !scale_and_shift || !result || !workspace) return nullptr;
    fill_with_numbers(on_stream, problem.activations, a.get(), a_bytes);
    fill_with_numbers(on_stream, problem.activations, b.get(), b_bytes);
    fill_with_numbers(on_stream, problem.activations, scale_and_shift.get(), vectors);
    return std::unique_ptr<plan_timer>(new plan_timer(on_stream, std::move(a), std::move(b),
                                                      std::move(scale_and_shift), std::move(result),
                                                      std::move(workspace)));
}

double plan_timer::milliseconds(const std::function<void(const convolution_operands&, std::byte*)>& run) {
    const convolution_operands on{
        .a = a_.get(), .b = b_.get(), .result = result_.get(), .scale_and_shift = scale_and_shift_.get()};
    return clock_.milliseconds([&] { run(on, workspace_.get()); });
}

} // namespace petnet::kernels::cuda
