// SPDX-License-Identifier: Apache-2.0
// A network compiled for one phase, batch size, image size and precision: the list of prepared operations of
// one training step (or of one evaluation batch), with every tensor at a fixed place in one block of memory.
#pragma once

#include "kernels/backend.hpp"
#include "model/network.hpp"
#include "model/parameters.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace petnet::model {

// frozen: the body's convolutions keep their weights; its batch-norm parameters and running statistics, and
// the head, train. unfrozen: everything trains. evaluation: forward only, running statistics, no dropout.
enum class phase : std::uint8_t { frozen, unfrozen, evaluation };

[[nodiscard]] const char* name_of(phase p) noexcept;

struct plan_options {
    phase kind = phase::unfrozen;
    std::int64_t batch = 64, height = 224, width = 224;
    kernels::dtype activations = kernels::dtype::f32;
    // Photographs' pixels as input (normalised with mean and deviation), or, for tests, the finished tensor.
    bool from_pixels = true;
    // Side of the squares of pixels that are sampled down to height x width, in training each by its row of
    // transforms(); 0: pixels come as height x width and are only normalised.
    std::int64_t photo_size = 0;
    bool transformed =
        false; // evaluation, with photo_size: also by transforms(), for augmentation at test time
    // Where photographs lie half resized in the device's memory, and the weights to cut them by
    // (kernels::cut_photographs): the plan cuts the pixels out of them, as its places() say. Absent: the
    // pixels are written by the host.
    kernels::tensor_view photo_store, cut_tables;
    // Averages the gradients and the loss over processes before the update, in buckets of at least so many
    // bytes while the backward pass goes on; absent: there is one process. It outlives the plan.
    kernels::all_reduce* averages = nullptr;
    std::size_t bucket_bytes = std::size_t{8} << 20; // layer4, first in backward, is 52 MB of the 87
    std::array<float, 3> mean{0.485F, 0.456F, 0.406F}, deviation{0.229F, 0.224F, 0.225F}; // ImageNet's
};

class plan {
  public:
    // Lays the operations and their memory out; nothing is allocated on the device yet.
    plan(parameters& p, const network& net, const plan_options& options);
    plan(const plan&) = delete; // its operations are bound to addresses
    plan& operator=(const plan&) = delete;

    // Plans that never run at the same time may share one block of at least memory_bytes(); `bind` prepares
    // the operations for it. The memory and the parameters outlive the plan.
    [[nodiscard]] std::size_t memory_bytes() const { return tensor_bytes_; }
    void bind(std::byte* memory);

    // One step: forward, loss, backward, update; for an evaluation plan: forward and loss.
    void execute();

    // What goes in and comes out; valid after bind().
    [[nodiscard]] const kernels::tensor_view& pixels() const {
        return pixels_;
    } // u8 (batch, height, width, 3), or of squares of photo_size; without photo_store only
    [[nodiscard]] const kernels::tensor_view& places() const {
        return places_;
    } // u64 (batch, cut_place_columns); with photo_store only
    [[nodiscard]] const kernels::tensor_view& transforms() const {
        return transforms_;
    } // f32 (batch, photo_transform_columns); with photo_size, in training or if transformed
    [[nodiscard]] const kernels::tensor_view& image() const {
        return image_;
    } // activation (batch, 3, height, width)
    [[nodiscard]] const kernels::tensor_view& target() const { return target_; } // i32 (batch)
    [[nodiscard]] const kernels::tensor_view& row_keys() const {
        return row_keys_;
    } // u64 (batch); training only
    [[nodiscard]] const kernels::tensor_view& settings() const {
        return settings_;
    } // f32 (parameter_groups, 4); training only
    [[nodiscard]] const kernels::tensor_view& logits() const { return logits_; }     // f32 (batch, classes)
    [[nodiscard]] const kernels::tensor_view& loss() const { return loss_; }         // f32 (1)
    [[nodiscard]] const kernels::tensor_view& row_loss() const { return row_loss_; } // f32 (batch)
    [[nodiscard]] const kernels::tensor_view& predictions() const { return predictions_; } // i32 (batch)
    // The gradient of a trained parameter after a step; std::logic_error if the phase does not train it.
    [[nodiscard]] const kernels::tensor_view& gradient(std::string_view name) const;

    [[nodiscard]] const plan_options& options() const { return options_; }
    [[nodiscard]] std::size_t workspace_bytes() const { return sequence_->workspace_bytes(); } // after bind()

    // For benches and logs: what runs, in order. `label` is the layer's name. Where `prepared` is nullptr
    // after bind(), the operation before does this one's work too (backend::prepare_pair).
    struct node {
        std::string label;
        kernels::operation_params params;
        std::unique_ptr<kernels::operation> prepared;
    };
    [[nodiscard]] const std::vector<node>& nodes() const { return nodes_; }

  private:
    friend class plan_builder;
    [[nodiscard]] std::vector<kernels::operation*> prepare_nodes();
    void prepare_averages();
    struct named_gradient {
        std::string name;
        kernels::tensor_view view;
    };

    kernels::backend& device_;
    plan_options options_;
    std::vector<node> nodes_;
    std::vector<std::size_t> offsets_; // of slot i+1
    std::size_t tensor_bytes_ = 0;
    struct averaging {
        std::size_t after_node;
        std::unique_ptr<kernels::operation> begin;
    };
    std::vector<averaging> averaging_; // in order; the last one's end is waited for by
    std::unique_ptr<kernels::operation> averaged_;
    std::unique_ptr<kernels::operation> sequence_; // of the nodes, and what averages their gradients
    kernels::device_memory workspace_{nullptr, [](std::byte*) {}};
    kernels::tensor_view pixels_, places_, transforms_, image_, target_, row_keys_, settings_, logits_, loss_,
        row_loss_, predictions_;
    std::vector<named_gradient> gradients_;
};

} // namespace petnet::model
