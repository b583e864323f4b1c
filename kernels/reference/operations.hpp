// SPDX-License-Identifier: Apache-2.0
// The prepare functions of the reference backends, one file per family. T stores f32 tensors: float or
// double. The operations have passed check_contract.
#pragma once

#include "kernels/function_operation.hpp"

#include <cstddef>
#include <memory>
#include <utility>

namespace petnet::kernels::reference {

template <class T> std::unique_ptr<operation> prepare(const cut_photographs& op);
template <class T> std::unique_ptr<operation> prepare(const photo_to_tensor& op);
template <class T> std::unique_ptr<operation> prepare(const sampled_photo_to_tensor& op);
template <class T> std::unique_ptr<operation> prepare(const convolution_forward& op);
template <class T> std::unique_ptr<operation> prepare(const convolution_backward_data& op);
template <class T> std::unique_ptr<operation> prepare(const convolution_backward_weights& op);
template <class T> std::unique_ptr<operation> prepare(const batch_norm_forward& op);
template <class T> std::unique_ptr<operation> prepare(const batch_norm_inference& op);
template <class T> std::unique_ptr<operation> prepare(const batch_norm_backward& op);
template <class T> std::unique_ptr<operation> prepare(const max_pool_forward& op);
template <class T> std::unique_ptr<operation> prepare(const max_pool_backward& op);
template <class T> std::unique_ptr<operation> prepare(const concat_pool_forward& op);
template <class T> std::unique_ptr<operation> prepare(const concat_pool_backward& op);
template <class T> std::unique_ptr<operation> prepare(const linear_forward& op);
template <class T> std::unique_ptr<operation> prepare(const linear_backward& op);
template <class T> std::unique_ptr<operation> prepare(const dropout& op);
template <class T> std::unique_ptr<operation> prepare(const softmax_cross_entropy& op);
template <class T> std::unique_ptr<operation> prepare(const loss_scale_update& op);
template <class T> std::unique_ptr<operation> prepare(const adam_step& op);

// An operation from a function that takes `workspace_doubles` doubles of scratch memory.
template <class Run>
[[nodiscard]] std::unique_ptr<operation> make_loops(std::int64_t workspace_doubles, Run run) {
    return make_operation(
        static_cast<std::size_t>(workspace_doubles) * sizeof(double),
        [run = std::move(run)](std::byte* workspace) mutable { run(reinterpret_cast<double*>(workspace)); });
}

} // namespace petnet::kernels::reference
