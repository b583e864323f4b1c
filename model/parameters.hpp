// SPDX-License-Identifier: Apache-2.0
// The trained tensors of a network with their optimizer state, and its running statistics, in a backend's
// memory.
#pragma once

#include "kernels/backend.hpp"
#include "model/network.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::model {

enum class parameter_kind : std::uint8_t { convolution, batch_norm_weight, batch_norm_bias, linear };

struct parameter {
    std::string name; // "layer1.0.conv1.weight", "head.fc1.weight"
    parameter_kind kind;
    std::size_t group;
    kernels::tensor_view value, m, v; // f32; m and v: Adam's moments, absent without optimizer_state
    std::int64_t fan_in;

    [[nodiscard]] bool in_head() const { return group == head_group; }
    // Weight decay: not on batch-norm parameters.
    [[nodiscard]] bool decays() const {
        return kind == parameter_kind::convolution || kind == parameter_kind::linear;
    }
};

struct running_statistic {
    std::string name; // "bn1.running_mean", "head.bn2.running_var"
    kernels::tensor_view value;
    bool variance, in_head;
};

// Adam's moments take twice the memory of the weights; a model that is only used does without.
enum class optimizer_state : std::uint8_t { absent, present };

// Named places in one block of memory. Values start undefined but for Adam's moments, which are zero; see
// initialise() and load_weights().
class parameters {
  public:
    // `activations`: the precision of the plans that will use them (it decides the layout of convolution
    // weights).
    parameters(kernels::backend& device, const network& net, kernels::dtype activations,
               optimizer_state optimizer = optimizer_state::present);

    [[nodiscard]] std::span<const parameter> trained() const { return trained_; }
    [[nodiscard]] std::span<const running_statistic> statistics() const { return statistics_; }
    // std::logic_error for an unknown name.
    [[nodiscard]] const parameter& find(std::string_view name) const;
    [[nodiscard]] const kernels::tensor_view& statistic(std::string_view name) const;

    // State of loss_scale_update; absent unless the activations are f16, and without optimizer_state.
    [[nodiscard]] const kernels::tensor_view& loss_scale() const { return loss_scale_; }

    // Adam's moments and the count of skipped steps to zero, as at the start of each phase. They are present.
    void clear_moments();

    [[nodiscard]] kernels::backend& device() const { return *device_; }

  private:
    kernels::backend* device_;
    std::vector<parameter> trained_;
    std::vector<running_statistic> statistics_;
    kernels::tensor_view loss_scale_;
    kernels::device_memory memory_;
};

enum class initialise_part : std::uint8_t { everything, head };

// Random start: convolutions normal with variance 2 / (out_channels * kernel^2) (torchvision's ResNet:
// kaiming, fan-out), linears normal with variance 2 / fan_in (fastai's head: kaiming, fan-in), batch-norm
// weight 1, bias 0, running mean 0, running variance 1. Each tensor draws from
// random_key(seed).child("weights").child(name).
void initialise(parameters& p, std::uint64_t seed, initialise_part part = initialise_part::everything);

} // namespace petnet::model
