// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/trial_tensors.hpp"

#include "kernels/cuda/difference.hpp"
#include "kernels/cuda/error.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/trial_memory.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace petnet::kernels::cuda {
namespace {

constexpr const char* filling = "filling memory for timing";

void copy_to_device(cudaStream_t stream, std::byte* to, std::span<const float> values) {
    check(cudaMemcpyAsync(to, values.data(), values.size_bytes(), cudaMemcpyHostToDevice, stream), filling);
    check(cudaStreamSynchronize(stream), filling);
}

// What a batch norm leaves of x with a deviation of 1: powers of two and short fractions; the cut, where
// scale*x + shift is 0, lies between 1/4 and 1/2 and, at 13 binary digits, between two values of any 16-bit
// format there.
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

bool is_read_saved(const trial_tensor& tensor) {
    return tensor.kind == access::read && tensor.name == "saved";
}

// One rounding to the format.
double unit_of(dtype type) { return type == dtype::bf16 ? 0x1p-8 : 0x1p-11; }

} // namespace

std::size_t trial_tensors::add(trial_tensor tensor) {
    tensors_.push_back({std::move(tensor), {}, {}, std::make_unique<std::byte>()});
    return tensors_.size() - 1;
}

bool trial_tensors::allocate() {
    for (placed_tensor& placed : tensors_) {
        const std::size_t bytes = stored_bytes(placed.tensor.desc);
        const bool twice = placed.tensor.kind != access::read && placed.tensor.limit;
        placed.first = try_device_buffer(bytes);
        if (twice) placed.second = try_device_buffer(bytes);
        if (!placed.first || (twice && !placed.second)) return false;
    }
    return true;
}

std::byte* trial_tensors::address(std::size_t number, way side) const {
    const placed_tensor& placed = tensors_.at(number);
    if (!placed.first) return placed.before.get();
    return (side == way::alternative && placed.second ? placed.second : placed.first).get();
}

bool trial_tensors::have_workspace(std::size_t bytes) {
    if (workspace_ && bytes <= workspace_bytes_) return true;
    device_buffer larger = try_device_buffer(bytes);
    if (!larger) return false; // others go on in the one that is there
    workspace_ = std::move(larger);
    workspace_bytes_ = bytes;
    return true;
}

void trial_tensors::fill_inputs() {
    const bool exact = std::ranges::any_of(tensors_, is_read_saved, &placed_tensor::tensor);
    std::uint64_t key = 0;
    for (const placed_tensor& placed : tensors_) {
        const trial_tensor& tensor = placed.tensor;
        std::byte* const to = placed.first.get();
        ++key;
        if (tensor.kind != access::read) continue;
        if (exact && (tensor.name == "gamma" || tensor.name == "saved")) {
            const exact_channels channels(tensor.desc.dims[tensor.desc.dims.rank() - 1]);
            copy_to_device(stream_, to, tensor.name == "gamma" ? channels.gamma : channels.saved);
            continue;
        }
        const bool vector = tensor.desc.dims.rank() == 1;
        fill_with_numbers(stream_, vector ? dtype::f32 : activations_, to, stored_bytes(tensor.desc), key,
                          vector               ? 1
                          : tensor.name == "x" ? mean_of_x_
                                               : 0);
    }
}

void trial_tensors::fill_outputs(way side) {
    for (std::size_t number = 0; number < tensors_.size(); ++number) {
        const trial_tensor& tensor = tensors_[number].tensor;
        if (tensor.kind == access::read) continue;
        constexpr int not_a_number = 0xFF;
        std::byte* to = address(number, side);
        if (tensor.kind == access::update)
            fill_with_numbers(stream_, dtype::f32, to, stored_bytes(tensor.desc));
        else
            check(cudaMemsetAsync(to, not_a_number, stored_bytes(tensor.desc), stream_), filling);
    }
}

bool trial_tensors::agree() const {
    return std::ranges::all_of(tensors_, [&](const placed_tensor& placed) { return agrees(placed); });
}

bool trial_tensors::agrees(const placed_tensor& placed) const {
    const trial_tensor& tensor = placed.tensor;
    if (tensor.kind == access::read || !tensor.limit) return true;
    const double limit = *tensor.limit * unit_of(activations_);
    // The rows of `saved` are of different sizes.
    const std::int64_t parts = tensor.name == "saved" ? tensor.desc.dims[0] : 1;
    const std::int64_t count = stored_elements(tensor.desc) / parts;
    for (std::int64_t part = 0; part < parts; ++part) {
        const auto offset = static_cast<std::size_t>(part * count) * element_bytes(tensor.desc.type);
        const difference found = difference_of(stream_, tensor.desc.type, placed.first.get() + offset,
                                               placed.second.get() + offset, count);
        if (!std::isfinite(found.largest) ||
            static_cast<double>(found.largest) > limit * static_cast<double>(found.largest_magnitude))
            return false;
    }
    return true;
}

} // namespace petnet::kernels::cuda
