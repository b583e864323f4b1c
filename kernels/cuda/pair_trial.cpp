// SPDX-License-Identifier: Apache-2.0
// Operands. Every tensor that the pair reads exists once; every one that it writes twice, so that both
// results can be compared. Activations and weights are normal numbers, gamma and beta too. What a ReLU's cut
// depends on is chosen so that the normalised values are exact in float32 in any order of the arithmetic and
// never 0: the two sides cut at the same elements, or one of them is wrong.
//
// Limits, in units of the tensor's largest value: four roundings of the activations' format where they are
// stored in it (as check:A,B has it), one where the tensor is float32: sums in another order, or of values
// before they were rounded, are off by less. Outputs start as NaN, so that what is not written is noticed.
#include "kernels/cuda/pair_trial.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/device_clock.hpp"
#include "kernels/cuda/difference.hpp"
#include "kernels/cuda/fused_pairs.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/trial_memory.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

struct trial_tensor {
    std::string name; // of ops.cpp
    tensor_desc desc;
    access kind;
    device_buffer separate, fused; // the second one of tensors that are written
};

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

std::vector<trial_tensor> tensors_of(const operation_params& first, const operation_params& second) {
    std::vector<trial_tensor> tensors;
    for_each_tensor(first, second,
                    [&](std::size_t number, std::string_view name, const tensor_view& view, access kind) {
                        if (number == tensors.size())
                            tensors.push_back({std::string(name), view.desc, kind, {}, {}});
                    });
    return tensors;
}

struct operation_pair {
    operation_params first, second;
};
operation_pair placed(operation_pair pair, const std::vector<trial_tensor>& tensors, bool fused) {
    for_each_tensor(pair.first, pair.second,
                    [&](std::size_t number, std::string_view, tensor_view& view, access) {
                        const trial_tensor& tensor = tensors[number];
                        view.data = (fused && tensor.fused ? tensor.fused : tensor.separate).get();
                    });
    return pair;
}

void copy_to_device(cudaStream_t stream, std::byte* to, std::span<const float> values) {
    constexpr const char* doing = "filling memory for timing";
    check(cudaMemcpyAsync(to, values.data(), values.size_bytes(), cudaMemcpyHostToDevice, stream), doing);
    check(cudaStreamSynchronize(stream), doing);
}

// The inputs of batch_norm_backward for x around 0 with deviation 1: powers of two and short fractions; the
// cut, where scale*x + shift is 0, lies between 1/4 and 1/2 and, at 13 binary digits, between two values of
// any 16-bit format there.
struct exact_channels {
    explicit exact_channels(std::int64_t channels)
        : count(static_cast<std::size_t>(channels)), gamma(count), saved(4 * count) {
        for (std::size_t c = 0; c < count; ++c) {
            const float sign = c % 2 == 0 ? 1.0F : -1.0F;
            const float mean = 0.125F * static_cast<float>(c % 3);
            const float inverse_deviation = c % 5 == 0 ? 2.0F : 1.0F;
            const float cut = sign * (0.25F + 0.03125F * static_cast<float>(c % 8) + 0x1p-13F);
            gamma[c] = c % 7 < 3 ? -0.5F : 1.0F;
            const float scale = gamma[c] * inverse_deviation;
            saved[c] = mean;
            saved[count + c] = inverse_deviation;
            saved[2 * count + c] = scale;
            saved[3 * count + c] = -cut * scale;
        }
    }
    std::size_t count;
    std::vector<float> gamma, saved;
};

// One rounding to the format.
double unit_of(dtype type) { return type == dtype::bf16 ? 0x1p-8 : 0x1p-11; }

class trial final : public pair_trial {
  public:
    // Of tensors that have memory.
    trial(context& cuda, std::vector<trial_tensor> tensors, const operation_params& first,
          const operation_params& second)
        : stream_(cuda.stream()),
          clock_(stream_),
          tensors_(std::move(tensors)),
          activations_(problem_of_pair(first, second)->activations),
          pair_(placed({first, second}, tensors_, true)) {
        const operation_pair separate = placed({first, second}, tensors_, false);
        for (const operation_params* op : {&separate.first, &separate.second})
            separate_.push_back(std::visit([&](const auto& params) { return prepare(cuda, params); }, *op));
    }

    // False where the device has not the memory for a workspace. Fills the tensors and computes what is
    // compared.
    [[nodiscard]] bool begin() {
        std::size_t bytes = 0;
        for (const auto& op : separate_) bytes = std::max(bytes, op->workspace_bytes());
        if (!have_workspace(bytes)) return false;
        fill_inputs();
        fill_outputs(&trial_tensor::separate);
        run_separately();
        return true;
    }

    [[nodiscard]] bool agrees(const std::shared_ptr<convolution_plan>& plan) override {
        const std::unique_ptr<operation> pair = fused(plan);
        if (!pair) return false;
        fill_outputs(&trial_tensor::fused);
        try {
            pair->execute(workspace_.get());
        } catch (const environment_error&) { // the plan does not work
            return false;
        }
        return std::ranges::all_of(tensors_, [&](const trial_tensor& tensor) { return same(tensor); });
    }

    [[nodiscard]] double milliseconds(const std::shared_ptr<convolution_plan>& plan) override {
        if (!plan) return clock_.milliseconds([&] { run_separately(); });
        const std::unique_ptr<operation> pair = fused(plan);
        if (!pair) return std::numeric_limits<double>::infinity();
        return clock_.milliseconds([&] { pair->execute(workspace_.get()); });
    }

  private:
    [[nodiscard]] bool have_workspace(std::size_t bytes) {
        if (workspace_ && bytes <= workspace_bytes_) return true;
        workspace_ = nullptr;
        workspace_ = try_device_buffer(bytes);
        workspace_bytes_ = bytes;
        return workspace_ != nullptr;
    }

    // nullptr where there is no memory for its workspace.
    [[nodiscard]] std::unique_ptr<operation> fused(const std::shared_ptr<convolution_plan>& plan) {
        std::unique_ptr<operation> pair = fuse(stream_, pair_.first, pair_.second, plan);
        return have_workspace(std::max(pair->workspace_bytes(), workspace_bytes_)) ? std::move(pair)
                                                                                   : nullptr;
    }

    void run_separately() {
        for (const auto& op : separate_) op->execute(workspace_.get());
    }

    [[nodiscard]] bool is_backward() const {
        return std::holds_alternative<batch_norm_backward>(pair_.second);
    }

    void fill_inputs() {
        std::uint64_t key = 0;
        for (const trial_tensor& tensor : tensors_) {
            ++key;
            if (tensor.kind != access::read) continue;
            const bool exact = is_backward() && (tensor.name == "gamma" || tensor.name == "saved");
            if (exact) {
                const exact_channels channels(tensor.desc.dims[tensor.desc.dims.rank() - 1]);
                copy_to_device(stream_, tensor.separate.get(),
                               tensor.name == "gamma" ? channels.gamma : channels.saved);
                continue;
            }
            // A forward convolution of values around 0 would have channels around 0: none that cancels.
            const bool vector = tensor.desc.dims.rank() == 1;
            const double mean = vector ? 1 : !is_backward() && tensor.name == "x" ? 0.5 : 0;
            fill_with_numbers(stream_, vector ? dtype::f32 : activations_, tensor.separate.get(),
                              stored_bytes(tensor.desc), key, mean);
        }
    }
    // Poison, and where a tensor is updated, numbers.
    void fill_outputs(device_buffer trial_tensor::*side) {
        for (const trial_tensor& tensor : tensors_) {
            if (tensor.kind == access::read) continue;
            constexpr int not_a_number = 0xFF;
            std::byte* to = (tensor.*side).get();
            if (tensor.kind == access::update)
                fill_with_numbers(stream_, dtype::f32, to, stored_bytes(tensor.desc));
            else
                check(cudaMemsetAsync(to, not_a_number, stored_bytes(tensor.desc), stream_),
                      "filling memory for timing");
        }
    }

    [[nodiscard]] bool same(const trial_tensor& tensor) const {
        if (tensor.kind == access::read) return true;
        const double unit = unit_of(activations_);
        const double limit = tensor.desc.type == dtype::f32 ? unit : 4 * unit;
        // The rows of `saved` are of different sizes.
        const std::int64_t parts = tensor.name == "saved" ? tensor.desc.dims[0] : 1;
        const std::int64_t count = stored_elements(tensor.desc) / parts;
        for (std::int64_t part = 0; part < parts; ++part) {
            const auto offset = static_cast<std::size_t>(part * count) * element_bytes(tensor.desc.type);
            const difference found = difference_of(stream_, tensor.desc.type, tensor.separate.get() + offset,
                                                   tensor.fused.get() + offset, count);
            if (!std::isfinite(found.largest) ||
                static_cast<double>(found.largest) > limit * static_cast<double>(found.largest_magnitude))
                return false;
        }
        return true;
    }

    cudaStream_t stream_;
    device_clock clock_;
    std::vector<trial_tensor> tensors_;
    dtype activations_;
    operation_pair pair_; // on the tensors of the fused side
    std::vector<std::unique_ptr<operation>> separate_;
    device_buffer workspace_;
    std::size_t workspace_bytes_ = 0;
};

} // namespace

std::unique_ptr<pair_trial> make_pair_trial(context& cuda, const operation_params& first,
                                            const operation_params& second) {
    // Its plan is chosen (and timed) here, before memory is taken; later it is known.
    for (const operation_params* op : {&first, &second})
        std::visit([&](const auto& params) { static_cast<void>(prepare(cuda, params)); }, *op);
    std::vector<trial_tensor> tensors = tensors_of(first, second);
    for (trial_tensor& tensor : tensors) {
        const std::size_t bytes = stored_bytes(tensor.desc);
        tensor.separate = try_device_buffer(bytes);
        if (tensor.kind != access::read) tensor.fused = try_device_buffer(bytes);
        if (!tensor.separate || (tensor.kind != access::read && !tensor.fused)) return nullptr;
    }
    auto made = std::make_unique<trial>(cuda, std::move(tensors), first, second);
    return made->begin() ? std::move(made) : nullptr;
}

} // namespace petnet::kernels::cuda
