// SPDX-License-Identifier: Apache-2.0
// Writes a plan's list of operations. Internal to model/.
#pragma once

#include "model/plan.hpp"

#include <optional>
#include <vector>

namespace petnet::model {

class plan_builder {
  public:
    plan_builder(plan& target, parameters& p, const network& net);
    void build();

  private:
    using view = kernels::tensor_view;

    [[nodiscard]] bool training() const { return plan_.options_.kind != phase::evaluation; }
    [[nodiscard]] bool trains_convolutions() const { return plan_.options_.kind == phase::unfrozen; }

    // New tensors of the plan's memory; a pinned one lives through the whole plan (inputs and results).
    [[nodiscard]] view tensor(const kernels::tensor_desc& desc);
    [[nodiscard]] view activation(const kernels::shape& dims);
    [[nodiscard]] view vector(kernels::dtype type, const kernels::shape& dims);
    [[nodiscard]] view pinned(view v);
    void add(std::string label, kernels::operation_params op);
    // The gradient of a trained parameter: read by the update at the end.
    [[nodiscard]] view gradient_of(const std::string& name);
    [[nodiscard]] view value_of(const std::string& name) const { return parameters_.find(name).value; }

    // What the backward pass needs of the forward pass.
    struct unit_state {
        kernels::convolution_shape shape;
        // input: through the batch norm whose statistics are input_norm, where that is present. output:
        // absent where its one reader reads `convolved` through `saved`.
        view input, input_norm, convolved, saved, output, argmax;
    };
    struct head_state {
        view pooled, argmax, saved_1, dropped_1, hidden, saved_2, dropped_2, dlogits;
    };

    [[nodiscard]] kernels::convolution_shape shape_of(const convolution_unit& unit,
                                                      const kernels::shape& input) const;
    // Whether the unit that reads this one's output reads it through its batch norm (the device decides).
    [[nodiscard]] bool is_read_through_norm(std::size_t index, const kernels::shape& output) const;
    void read_photographs(const view& image);
    [[nodiscard]] view squares(std::int64_t height, std::int64_t width);
    void forward_body();
    void forward_head();
    void backward_head();
    void backward_body();
    void backward_unit(std::size_t index);
    void update();
    void place_tensors();

    // Batch-norm in the plan's mode; `saved` receives its statistics in training (and for a pooled stem
    // always).
    void normalise(const std::string& name, const view& x, const view& residual, const view& y,
                   const view& saved, bool relu);
    void normalise_backward(const std::string& name, kernels::batch_norm_backward op);
    void drop(const std::string& label, const view& x, const view& y, double probability,
              std::uint64_t layer);

    plan& plan_;
    parameters& parameters_;
    const network& net_;
    std::vector<kernels::tensor_desc> slots_; // slot i+1
    std::vector<bool> pinned_;
    std::vector<unit_state> units_;
    std::vector<view> activations_; // 0: image, i+1: output of unit i
    head_state head_;
    std::vector<std::vector<view>> gradients_; // of each activation: the terms of their sum, at most two
};

} // namespace petnet::model
