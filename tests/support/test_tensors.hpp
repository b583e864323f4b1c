// SPDX-License-Identifier: Apache-2.0
// Tensors of one backend for the length of a test. Each is followed by guard bytes; outputs start as NaN (-1
// in integers), and so does the workspace.
#pragma once

#include "kernels/backend.hpp"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace petnet::testing {

using namespace kernels;

class test_tensors {
  public:
    // Activations are stored as `activations`; the values of activations and convolution weights are rounded
    // to `precision` before they are written, so that an exact backend can be given what a bf16 one sees.
    test_tensors(backend& on, dtype activations, dtype precision)
        : on_(on), activations_(activations), precision_(precision) {}

    // Inputs; names choose the values (fill.hpp). Rank 4: activations; others: row-major f32.
    tensor_view input(std::string_view name, const shape& dims, double deviation = 1, double mean = 0);
    tensor_view input(const shape& dims, std::span<const double> values);
    tensor_view weights(std::string_view name, const convolution_shape& shape, double deviation = 1);
    tensor_view weights(const convolution_shape& shape, std::span<const double> values);
    tensor_view bytes(dtype type, const shape& dims, std::span<const std::byte> bytes);
    template <class Integer>
    tensor_view integers(dtype type, const shape& dims, const std::vector<Integer>& values) {
        return bytes(type, dims, std::as_bytes(std::span(values)));
    }

    // Poisoned tensors.
    tensor_view output(const shape& dims); // activation or row-major f32, as input()
    tensor_view weights_output(const convolution_shape& shape);
    tensor_view output(const tensor_desc& desc);

    [[nodiscard]] std::unique_ptr<operation> prepare(const operation_params& op) { return on_.prepare(op); }
    void execute(operation& prepared);
    void run(const operation_params& op) { execute(*prepare(op)); }

    [[nodiscard]] std::vector<double> values(const tensor_view& view);
    [[nodiscard]] std::vector<std::byte> bytes(const tensor_view& view);
    [[nodiscard]] bool guards_intact(); // of every tensor, and of the workspace of every execution
    [[nodiscard]] backend& on() noexcept { return on_; }

  private:
    struct guarded {
        device_memory memory;
        std::size_t size;
    };
    [[nodiscard]] guarded make_guarded(std::size_t size);
    [[nodiscard]] bool guard_intact(const guarded& tensor);
    [[nodiscard]] tensor_desc describe(const shape& dims) const;
    tensor_view filled(const tensor_desc& desc, std::span<const double> values, dtype precision);

    backend& on_;
    dtype activations_, precision_;
    std::vector<guarded> memories_;
    bool workspaces_intact_ = true;
};

} // namespace petnet::testing
