// SPDX-License-Identifier: Apache-2.0
// One Adam step over many tensors: a small launch turns the settings of each row into coefficients (in
// double), then one launch updates all tensors, a block a chunk, and rounds the 16-bit copies of weights on
// the way.
//
// The whole storage is updated, channel padding included: p, g, m and v are 0 there, and stay 0.
// Bandwidth: 16 bytes read and 12 written an element, 2 more where there is a rounded copy.
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/rounded_copy.cuh"
#include "kernels/cuda/tensor_table.hpp"

namespace petnet::kernels::cuda {
namespace {

constexpr int threads = 256, per_load = 4, row_threads = 32;

struct adam_entry {
    float* p;
    const float* g;
    float *m, *v;
    bf16* bf16_copy; // or nullptr, like the next one
    f16* f16_copy;
    std::int64_t count;
    std::int32_t settings_row;
    bool decay;
};

// What a row's settings come to in this step.
struct coefficients {
    float gradient_scale;    // 0: the step is skipped
    float momentum, renewal; // momentum + renewal = 1
    float step;              // lr / (1 - mom^t)
    float square_correction; // 1 / (1 - beta2^t)
    float kept;              // 1 - lr * weight decay
};

struct row_parameters {
    const float *settings, *loss_scale; // loss_scale or nullptr
    coefficients* rows;
    int count;
    double beta2, weight_decay;
};

__global__ void __launch_bounds__(row_threads) find_coefficients(row_parameters of) {
    const int row = static_cast<int>(blockIdx.x) * row_threads + static_cast<int>(threadIdx.x);
    if (row >= of.count) return;
    const float* settings = of.settings + row * adam_settings_columns;
    const auto lr = static_cast<double>(settings[0]), momentum = static_cast<double>(settings[1]);
    const bool scaled = of.loss_scale != nullptr;
    const double skipped = scaled ? static_cast<double>(of.loss_scale[3]) : 0;
    const double t = static_cast<double>(settings[2]) - skipped;
    of.rows[row] = {scaled ? of.loss_scale[1] : 1.0F,
                    settings[1],
                    static_cast<float>(1 - momentum),
                    static_cast<float>(lr / (1 - pow(momentum, t))),
                    static_cast<float>(1 / (1 - pow(of.beta2, t))),
                    static_cast<float>(1 - lr * of.weight_decay)};
}

struct adam_parameters {
    const adam_entry* entries;
    const chunk* chunks;
    const coefficients* rows;
    float beta2, square_renewal, epsilon; // beta2 + square_renewal = 1
};

__device__ void update(const adam_parameters& adam, const coefficients& row, float kept, float& p,
                       float gradient, float& m, float& v) {
    const float g = gradient * row.gradient_scale;
    m = fmaf(row.momentum, m, row.renewal * g);
    v = fmaf(adam.beta2, v, adam.square_renewal * g * g);
    const float direction = m / (sqrtf(v * row.square_correction) + adam.epsilon);
    p = fmaf(-row.step, direction, p * kept);
}

__global__ void __launch_bounds__(threads) update_tensors(adam_parameters adam) {
    const auto [first, tensor] = adam.chunks[blockIdx.x];
    const adam_entry entry = adam.entries[tensor];
    const coefficients row = adam.rows[entry.settings_row];
    if (row.gradient_scale == 0) return;
    const float kept = entry.decay ? row.kept : 1.0F;
    const std::int64_t end = first + chunk_elements < entry.count ? first + chunk_elements : entry.count;
    for (std::int64_t i = first + std::int64_t{threadIdx.x} * per_load; i < end; i += threads * per_load) {
        if (i + per_load > end) { // the last 1 to 3 elements of a vector: no weights, so no rounded copy
            for (std::int64_t j = i; j < end; ++j)
                update(adam, row, kept, entry.p[j], entry.g[j], entry.m[j], entry.v[j]);
            break;
        }
        auto p = load_pack<per_load>(entry.p + i), m = load_pack<per_load>(entry.m + i);
        auto v = load_pack<per_load>(entry.v + i);
        const auto g = load_pack<per_load>(entry.g + i);
        for (int j = 0; j < per_load; ++j) update(adam, row, kept, p.at[j], g.at[j], m.at[j], v.at[j]);
        store_pack(entry.p + i, p);
        store_pack(entry.m + i, m);
        store_pack(entry.v + i, v);
        if (entry.bf16_copy != nullptr) store_pack(entry.bf16_copy + i, rounded<bf16>(p));
        if (entry.f16_copy != nullptr) store_pack(entry.f16_copy + i, rounded<f16>(p));
    }
}

adam_entry describe(const adam_parameter& parameter) {
    return {elements<float>(parameter.p),
            elements<const float>(parameter.g),
            elements<float>(parameter.m),
            elements<float>(parameter.v),
            rounded_copy<bf16>(parameter.p),
            rounded_copy<f16>(parameter.p),
            stored_elements(parameter.p.desc),
            static_cast<std::int32_t>(parameter.settings_row),
            parameter.decay};
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const adam_step& op) {
    std::vector<adam_entry> entries;
    for (const adam_parameter& parameter : op.parameters) entries.push_back(describe(parameter));
    tensor_table<adam_entry> table(cuda.stream(), entries);
    const auto* settings = elements<const float>(op.settings);
    const auto* loss_scale = elements<const float>(op.loss_scale);
    const auto row_count = static_cast<int>(op.settings.desc.dims[0]);
    return make_operation(
        static_cast<std::size_t>(row_count) * sizeof(coefficients),
        [stream = cuda.stream(), table = std::move(table), settings, loss_scale, row_count, beta2 = op.beta2,
         epsilon = op.epsilon, weight_decay = op.weight_decay](std::byte* workspace) {
            auto* rows = reinterpret_cast<coefficients*>(workspace);
            launch(stream, static_cast<unsigned>(divide_up(row_count, row_threads)), row_threads,
                   find_coefficients,
                   row_parameters{settings, loss_scale, rows, row_count, beta2, weight_decay});
            launch(stream, table.chunk_count(), threads, update_tensors,
                   adam_parameters{table.entries(), table.chunks(), rows, static_cast<float>(beta2),
                                   static_cast<float>(1 - beta2), static_cast<float>(epsilon)});
        });
}

} // namespace petnet::kernels::cuda
