// SPDX-License-Identifier: Apache-2.0
// What every operation of the cpu backend needs: engine, stream, number of threads, layouts.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/onednn.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace petnet::kernels::cpu {

// Layouts of activations; identifiers from `first_weights_layout` on are indices into the weights'
// descriptors.
inline constexpr std::uint32_t row_major = 0, channels_last = 1, blocked_by_8 = 2, blocked_by_16 = 3;
inline constexpr std::uint32_t first_weights_layout = 16;

class context {
  public:
    explicit context(int threads);

    [[nodiscard]] const dnnl::engine& engine() const noexcept { return engine_; }
    [[nodiscard]] dnnl::stream& stream() noexcept { return stream_; }
    [[nodiscard]] int threads() const noexcept { return threads_; }

    [[nodiscard]] bool native_bf16() const noexcept { return native_bf16_; }
    // bf16 steps take no more time than f32 ones, and half the memory: with AMX, many times less, and with
    // AVX-512's own bf16 on AMD's processors as long (32 photographs of 224) or less (16 of 128: 0.26 s
    // against 0.33 s; oneDNN 2.6 and winograd.hpp, AMD EPYC with avx512_bf16, a busy machine, interleaved).
    // On Intel's without AMX they take more (240 against 380 GFLOP/s in the convolutions, all oneDNN's).
    [[nodiscard]] bool fast_bf16() const noexcept { return fast_bf16_; }

    [[nodiscard]] std::uint32_t activation_layout(dtype type, std::int64_t channels) const noexcept;
    [[nodiscard]] tensor_desc convolution_weights(const convolution_shape& shape, dtype activations);
    [[nodiscard]] memory_desc describe(const tensor_desc& desc) const;
    // The tensor as oneDNN sees it.
    [[nodiscard]] dnnl::memory memory(const tensor_view& view) const;

  private:
    dnnl::engine engine_;
    dnnl::stream stream_;
    int threads_;
    bool native_bf16_ = false, matrix_bf16_ = false, fast_bf16_ = false; // matrix: AMX
    struct weights_layout {
        shape dims;
        std::int64_t stride, padding;
        dtype activations;
        memory_desc desc;
    };
    std::vector<weights_layout> weights_;
};

// A 4-d activation or 2-d features as the loops see it: `planes` pieces of `rows` rows of `channels`
// neighbouring channels; plane i holds the channels that start at (i % channel_blocks) * channels.
struct row_view {
    std::int64_t planes = 0, rows = 0, channels = 0, channel_blocks = 1;
    [[nodiscard]] std::int64_t elements() const noexcept { return planes * rows * channels; }
};
[[nodiscard]] row_view rows_of(const tensor_desc& desc);

// One factory per family; each takes ownership of a copy of the parameters.
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const cut_photographs& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const photo_to_tensor& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const sampled_photo_to_tensor& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const convolution_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const convolution_backward_data& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const convolution_backward_weights& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const batch_norm_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const batch_norm_inference& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const batch_norm_backward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const max_pool_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const max_pool_backward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const concat_pool_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const concat_pool_backward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const linear_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const linear_backward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const dropout& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const softmax_cross_entropy& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const loss_scale_update& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cpu, const adam_step& op);
// y = relu(scale*x + shift), rows 2 and 3 of `saved`: what convolutions read through a batch norm.
[[nodiscard]] std::unique_ptr<operation> prepare_norm(context& cpu, const tensor_view& x,
                                                      const tensor_view& saved, const tensor_view& y);

} // namespace petnet::kernels::cpu
