// SPDX-License-Identifier: Apache-2.0
// Limits of the trial: four roundings of the activations' format, of every tensor. Scale and shift are
// rounded to it, by up to one, which a whole channel of the convolution's input and of its weights' gradient
// shares; cuDNN rounds the gradient once more, and sums in another order.
#include "kernels/cuda/through_norm.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/device_clock.hpp"
#include "kernels/cuda/fused_pairs.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/recorded_sequence.hpp"
#include "kernels/cuda/trial_tensors.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

// A part of a step as a plan prepares it: pairs where there are some.
std::vector<std::unique_ptr<operation>> prepare_all(context& cuda, const std::vector<operation_params>& ops) {
    std::vector<std::unique_ptr<operation>> prepared;
    for (std::size_t i = 0; i < ops.size(); ++i) {
        auto made = i + 1 < ops.size() ? prepare_pair(cuda, ops[i], ops[i + 1]) : nullptr;
        if (made)
            ++i;
        else
            made = std::visit([&](const auto& op) { return prepare(cuda, op); }, ops[i]);
        prepared.push_back(std::move(made));
    }
    return prepared;
}

// The tensors of a residual block, as far as it matters, and both ways as operations on them.
class residual_block {
  public:
    residual_block(cudaStream_t on_stream, const convolution_shape& shape, dtype activations, bool trains)
        : shape_(shape), trains_(trains), tensors_(on_stream, activations, 0.5) {
        const tensor_desc x = activation_desc(activations, shape.x()),
                          y = activation_desc(activations, shape.y()), w = weights_desc(shape, activations);
        x_ = add("x", x, access::read);
        norm_1_ = add_norm(shape.in_channels);
        normalised_ = {tensors_.add({"y", x, access::write}), x}; // of the usual way alone
        w_ = add("w", w, access::read);
        convolved_ = add("y", y, access::write);
        norm_2_ = add_norm(shape.out_channels);
        residual_ = add("residual", y, access::read);
        y_ = add("y", y, access::write);
        if (trains) {
            dy_ = add("dy", y, access::read);
            dw_ = add("dw", w, access::write);
        }
    }

    [[nodiscard]] trial_tensors& tensors() { return tensors_; }

    [[nodiscard]] std::vector<operation_params> operations(way side) const {
        const auto on = [&](const operand& of) -> tensor_view {
            return {of.desc, tensors_.address(of.number, side)};
        };
        const bool through = side == way::alternative;
        const tensor_view x = on(x_), normalised = on(normalised_), saved = on(norm_1_.saved),
                          convolved = on(convolved_);
        const tensor_view read = through ? x : normalised, read_through = through ? saved : tensor_view{};
        std::vector<operation_params> all{
            batch_norm_forward{x,
                               on(norm_1_.gamma),
                               on(norm_1_.beta),
                               on(norm_1_.running_mean),
                               on(norm_1_.running_variance),
                               {},
                               through ? tensor_view{} : normalised,
                               saved,
                               true},
            convolution_forward{shape_, read, on(w_), convolved, read_through},
            batch_norm_forward{convolved, on(norm_2_.gamma), on(norm_2_.beta), on(norm_2_.running_mean),
                               on(norm_2_.running_variance), on(residual_), on(y_), on(norm_2_.saved), true}};
        if (trains_)
            all.emplace_back(convolution_backward_weights{shape_, read, on(dy_), on(dw_), read_through});
        return all;
    }

  private:
    struct operand {
        std::size_t number = 0;
        tensor_desc desc;
    };
    struct norm {
        operand gamma, beta, running_mean, running_variance, saved;
    };
    operand add(const char* name, const tensor_desc& desc, access kind) {
        constexpr double limit = 4;
        return {tensors_.add({name, desc, kind, limit}), desc};
    }
    norm add_norm(std::int64_t channels) {
        const tensor_desc vector{dtype::f32, {channels}, row_major};
        return {add("gamma", vector, access::read), add("beta", vector, access::read),
                add("running_mean", vector, access::update), add("running_variance", vector, access::update),
                add("saved", {dtype::f32, {4, channels}, row_major}, access::write)};
    }

    convolution_shape shape_;
    bool trains_;
    trial_tensors tensors_;
    operand x_, normalised_, w_, convolved_, residual_, y_, dy_, dw_;
    norm norm_1_, norm_2_;
};

class block_trial final : public alternative_trial {
  public:
    // Of a block that has memory.
    block_trial(context& cuda, residual_block of)
        : block_(std::move(of)),
          clock_(cuda.stream()),
          ways_{prepared_way(cuda, block_.operations(way::usual)),
                prepared_way(cuda, block_.operations(way::alternative))} {}

    // False where the device has not the memory for a workspace.
    [[nodiscard]] bool begin() {
        std::size_t bytes = 0;
        for (const prepared_way& each : ways_) bytes = std::max(bytes, each.sequence->workspace_bytes());
        if (!block_.tensors().have_workspace(bytes)) return false;
        block_.tensors().fill_inputs();
        return true;
    }

    [[nodiscard]] bool agrees() override {
        for (const way side : {way::usual, way::alternative}) block_.tensors().fill_outputs(side);
        try {
            // One by one, then recorded.
            for (const way side : {way::usual, way::alternative})
                for (int times = 0; times < 2; ++times) run(side);
        } catch (const environment_error&) { // a plan does not work
            return false;
        }
        return block_.tensors().agree();
    }

    [[nodiscard]] double milliseconds(bool alternative) override {
        return clock_.milliseconds([&] { run(alternative ? way::alternative : way::usual); });
    }

  private:
    void run(way side) {
        ways_.at(static_cast<std::size_t>(side)).sequence->execute(block_.tensors().workspace());
    }

    // As a plan replays them: what the host needs to launch them one by one is not timed.
    struct prepared_way {
        prepared_way(context& cuda, const std::vector<operation_params>& ops)
            : operations(prepare_all(cuda, ops)) {
            std::vector<operation*> all;
            for (const auto& op : operations) all.push_back(op.get());
            sequence = make_recorded_sequence(cuda.stream(), std::move(all));
        }
        std::vector<std::unique_ptr<operation>> operations;
        std::unique_ptr<operation> sequence;
    };

    residual_block block_;
    device_clock clock_;
    std::array<prepared_way, 2> ways_;
};

} // namespace

std::unique_ptr<alternative_trial> make_trial_through_norm(context& cuda, const convolution_shape& shape,
                                                           dtype activations, bool trains) {
    residual_block of(cuda.stream(), shape, activations, trains);
    // Their plans are chosen (and timed) here, before memory is taken; later they are known.
    for (const way side : {way::usual, way::alternative})
        static_cast<void>(prepare_all(cuda, of.operations(side)));
    if (!of.tensors().allocate()) return nullptr;
    auto made = std::make_unique<block_trial>(cuda, std::move(of));
    return made->begin() ? std::move(made) : nullptr;
}

bool reads_through_norm(context& cuda, const convolution_shape& shape, dtype activations, bool trains) {
    if (activations == dtype::f32 || padded_channels(shape.in_channels) != shape.in_channels) return false;
    convolution_shape stored = shape;
    stored.out_channels = padded_channels(shape.out_channels);
    const stored_convolution forward{convolution_kind::forward_and_sums, stored, activations, true},
        weights{convolution_kind::backward_weights, stored, activations, true};
    convolutions& convolve = cuda.convolve();
    return convolve.takes_alternative(
        text_of(forward) + (trains ? "; and backward weights" : "") + "; or without",
        [&]() -> std::unique_ptr<alternative_trial> {
            if (!convolve.can_fuse(forward) || (trains && !convolve.can_fuse(weights))) return nullptr;
            return make_trial_through_norm(cuda, shape, activations, trains);
        });
}

} // namespace petnet::kernels::cuda
