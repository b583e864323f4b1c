// SPDX-License-Identifier: Apache-2.0
// Limits: four roundings of the activations' format where a tensor is stored in it (as check:A,B has it), one
// where it is float32: sums in another order, or of values before they were rounded, are off by less. Through
// a batch norm, whose scale and shift are rounded too, four of every tensor: a channel may be off as a whole.
#include "kernels/cuda/pair_trial.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/device_clock.hpp"
#include "kernels/cuda/fused_pairs.hpp"
#include "kernels/cuda/trial_tensors.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

// visit(number, name, view, kind) for all operands. One tensor of the pair has one number: what the first
// operation writes, wherever the second one has it. Other operands that share memory do so one after the
// other (the plan gives memory that is free again to the next tensor) or need not share it.
template <class Params, class Visit> void for_each_tensor(Params& first, Params& second, const Visit& visit) {
    using view_type = std::conditional_t<std::is_const_v<Params>, const tensor_view, tensor_view>;
    std::size_t next = 0, result = 0;
    const std::byte* address = nullptr;
    for_each_operand(first, [&](std::string_view name, view_type& view, access kind) {
        if (kind == access::write) {
            result = next;
            address = view.data;
        }
        visit(next++, name, view, kind);
    });
    for_each_operand(second, [&](std::string_view name, view_type& view, access kind) {
        const std::size_t number = view.data == address ? result : next++;
        visit(number, name, view, kind);
    });
}

struct operation_pair {
    operation_params first, second;
};
operation_pair placed(operation_pair pair, const trial_tensors& tensors, way side) {
    for_each_tensor(pair.first, pair.second,
                    [&](std::size_t number, std::string_view, tensor_view& view, access) {
                        view.data = tensors.address(number, side);
                    });
    return pair;
}

trial_tensors tensors_of(cudaStream_t stream, const operation_pair& pair) {
    const stored_convolution problem = *problem_of_pair(pair.first, pair.second);
    const double stored_limit = 4, float32_limit = problem.through_norm ? 4 : 1;
    trial_tensors tensors(stream, problem.activations,
                          problem.kind == convolution_kind::backward_data_and_sums ? 0 : 0.5);
    std::size_t count = 0;
    for_each_tensor(pair.first, pair.second,
                    [&](std::size_t number, std::string_view name, const tensor_view& view, access kind) {
                        if (number < count) return;
                        tensors.add({std::string(name), view.desc, kind,
                                     view.desc.type == dtype::f32 ? float32_limit : stored_limit});
                        ++count;
                    });
    return tensors;
}

class trial final : public pair_trial {
  public:
    // Of tensors that have memory.
    trial(context& cuda, trial_tensors tensors, const operation_pair& pair)
        : stream_(cuda.stream()),
          clock_(stream_),
          tensors_(std::move(tensors)),
          pair_(placed(pair, tensors_, way::alternative)) {
        const operation_pair separate = placed(pair, tensors_, way::usual);
        for (const operation_params* op : {&separate.first, &separate.second})
            separate_.push_back(std::visit([&](const auto& params) { return prepare(cuda, params); }, *op));
    }

    // False where the device has not the memory for a workspace. Fills the tensors and computes what is
    // compared.
    [[nodiscard]] bool begin() {
        std::size_t bytes = 0;
        for (const auto& op : separate_) bytes = std::max(bytes, op->workspace_bytes());
        if (!tensors_.have_workspace(bytes)) return false;
        tensors_.fill_inputs();
        tensors_.fill_outputs(way::usual);
        run_separately();
        return true;
    }

    [[nodiscard]] bool agrees(const std::shared_ptr<convolution_plan>& plan) override {
        const std::unique_ptr<operation> pair = fused(plan);
        if (!pair) return false;
        tensors_.fill_outputs(way::alternative);
        try {
            pair->execute(tensors_.workspace());
        } catch (const environment_error&) { // the plan does not work
            return false;
        }
        return tensors_.agree();
    }

    [[nodiscard]] double milliseconds(const std::shared_ptr<convolution_plan>& plan) override {
        if (!plan) return clock_.milliseconds([&] { run_separately(); });
        const std::unique_ptr<operation> pair = fused(plan);
        if (!pair) return std::numeric_limits<double>::infinity();
        return clock_.milliseconds([&] { pair->execute(tensors_.workspace()); });
    }

  private:
    // nullptr where there is no memory for its workspace.
    [[nodiscard]] std::unique_ptr<operation> fused(const std::shared_ptr<convolution_plan>& plan) {
        std::unique_ptr<operation> pair = fuse(stream_, pair_.first, pair_.second, plan);
        return tensors_.have_workspace(pair->workspace_bytes()) ? std::move(pair) : nullptr;
    }

    void run_separately() {
        for (const auto& op : separate_) op->execute(tensors_.workspace());
    }

    cudaStream_t stream_;
    device_clock clock_;
    trial_tensors tensors_;
    operation_pair pair_; // on the tensors of the fused side
    std::vector<std::unique_ptr<operation>> separate_;
};

} // namespace

std::unique_ptr<pair_trial> make_pair_trial(context& cuda, const operation_params& first,
                                            const operation_params& second) {
    // Its plan is chosen (and timed) here, before memory is taken; later it is known.
    for (const operation_params* op : {&first, &second})
        std::visit([&](const auto& params) { static_cast<void>(prepare(cuda, params)); }, *op);
    trial_tensors tensors = tensors_of(cuda.stream(), {first, second});
    if (!tensors.allocate()) return nullptr;
    auto made = std::make_unique<trial>(cuda, std::move(tensors), operation_pair{first, second});
    return made->begin() ? std::move(made) : nullptr;
}

} // namespace petnet::kernels::cuda
