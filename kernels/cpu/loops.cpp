// SPDX-License-Identifier: Apache-2.0
// Compiled once for each instruction set, which the build names in PETNET_ISA and in the compiler's flags.
// Plain loops that the compiler vectorises over the channels, and some in vectors. Nothing from the standard
// library is used: an inline function of it, compiled here for AVX-512, could be the copy that the linker
// keeps for everybody.
#include "kernels/cpu/loops.hpp"

#include "kernels/cpu/vectors.hpp"

namespace petnet::kernels::cpu::PETNET_ISA {
namespace {

// A value known to the compiler.
template <auto value> struct constant {
    constexpr operator decltype(value)() const { return value; }
};

// The blocked layouts have 8 or 16 channels to a row: known to the compiler, such a row is one vector.
template <typename Body> inline void for_width(std::int64_t channels, const Body& body) {
    if (channels == 8)
        body(constant<std::int64_t{8}>{});
    else if (channels == 16)
        body(constant<std::int64_t{16}>{});
    else
        body(channels);
}

template <typename T>
void moments(const T* __restrict x, std::int64_t rows, std::int64_t channels, float* __restrict mean,
             float* __restrict m2) {
    for_width(channels, [&](auto width) {
        for (std::int64_t c = 0; c < width; ++c) mean[c] = m2[c] = 0.0F;
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < width; ++c) mean[c] += load(x[r * width + c]);
        const float inverse = 1.0F / static_cast<float>(rows);
        for (std::int64_t c = 0; c < width; ++c) mean[c] *= inverse;
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < width; ++c) {
                const float deviation = load(x[r * width + c]) - mean[c];
                m2[c] += deviation * deviation;
            }
    });
}

// x, residual and y may be the same memory: no __restrict on them, but each element is read before it is
// written and never again, which `omp simd` tells the vectoriser.
template <typename T>
void apply(const T* x, const T* residual, T* y, std::int64_t rows, std::int64_t channels,
           const float* __restrict scale, const float* __restrict shift, bool relu) {
    const auto run = [&](auto width, auto element) {
        for (std::int64_t r = 0; r < rows; ++r) {
            const std::int64_t at = r * width;
#pragma omp simd
            for (std::int64_t c = 0; c < width; ++c) store(y[at + c], element(at + c, c));
        }
    };
    const auto plain = [&](std::int64_t i, std::int64_t c) { return scale[c] * load(x[i]) + shift[c]; };
    const auto added = [&](std::int64_t i, std::int64_t c) { return plain(i, c) + load(residual[i]); };
    const auto positive = [](float v) { return v < 0.0F ? 0.0F : v; }; // a NaN stays
    for_width(channels, [&](auto width) {
        if (residual != nullptr && relu)
            run(width, [&](std::int64_t i, std::int64_t c) { return positive(added(i, c)); });
        else if (residual != nullptr)
            run(width, added);
        else if (relu)
            run(width, [&](std::int64_t i, std::int64_t c) { return positive(plain(i, c)); });
        else
            run(width, plain);
    });
}

// Calls `body(width, g)` with g(i, c) the cut gradient at element i of channel c, one instance per kind of
// cut.
template <typename T, typename Body>
inline void with_gradient(const incoming_gradient<T>& in, const T* x, std::int64_t channels,
                          const Body& body) {
    // Pointers by value and both sides of each choice computed: the compiler may then select lane by lane.
    const auto single = [dy = in.dy](std::int64_t i) { return load(dy[i]); };
    const auto both = [dy = in.dy, dy2 = in.dy2](std::int64_t i) { return load(dy[i]) + load(dy2[i]); };
    const auto cut = [&](auto width, auto total) {
        if (in.y != nullptr)
            body(width, [total, y = in.y](std::int64_t i, std::int64_t) {
                const float g = total(i);
                return load(y[i]) > 0.0F ? g : 0.0F;
            });
        else if (in.scale != nullptr)
            body(width, [total, x, scale = in.scale, shift = in.shift](std::int64_t i, std::int64_t c) {
                const float g = total(i);
                return scale[c] * load(x[i]) + shift[c] > 0.0F ? g : 0.0F;
            });
        else
            body(width, [total](std::int64_t i, std::int64_t) { return total(i); });
    };
    for_width(channels, [&](auto width) {
        if (in.dy2 != nullptr)
            cut(width, both);
        else
            cut(width, single);
    });
}

template <typename T>
void gradient_sums(const incoming_gradient<T>& in, const T* x, T* g_out, std::int64_t rows,
                   std::int64_t channels, const float* __restrict mean, float* __restrict sum_g,
                   float* __restrict sum_gx) {
    for (std::int64_t c = 0; c < channels; ++c) sum_g[c] = sum_gx[c] = 0.0F;
    with_gradient(in, x, channels, [&](auto width, auto gradient) {
        const auto add_up = [&](auto keep) {
            for (std::int64_t r = 0; r < rows; ++r) {
                const std::int64_t at = r * width;
#pragma omp simd
                for (std::int64_t c = 0; c < width; ++c) {
                    const float g = gradient(at + c, c);
                    keep(at + c, g);
                    sum_g[c] += g;
                    sum_gx[c] += g * (load(x[at + c]) - mean[c]);
                }
            }
        };
        if (g_out != nullptr)
            add_up([g_out](std::int64_t i, float g) { store(g_out[i], g); });
        else
            add_up([](std::int64_t, float) {});
    });
}

template <typename T>
void gradient_apply(const incoming_gradient<T>& in, const T* x, T* dx, std::int64_t rows,
                    std::int64_t channels, const float* __restrict mean, const float* __restrict slope,
                    const float* __restrict tilt, const float* __restrict offset) {
    with_gradient(in, x, channels, [&](auto width, auto gradient) {
        for (std::int64_t r = 0; r < rows; ++r) {
            const std::int64_t at = r * width;
#pragma omp simd
            for (std::int64_t c = 0; c < width; ++c)
                store(dx[at + c],
                      slope[c] * gradient(at + c, c) - tilt[c] * (load(x[at + c]) - mean[c]) - offset[c]);
        }
    });
}

template <typename T>
void max_pool_row(const T* const rows[3], std::int64_t columns, std::int64_t channels,
                  const float* __restrict scale, const float* __restrict shift, T* __restrict y,
                  std::uint8_t* __restrict argmax) {
    const auto pool = [&](std::int64_t out_column, auto value) {
        for_lanes(channels, [&]<typename V>(V, std::int64_t c) {
            V best = V{} - __builtin_inff();
            typename lanes_of<V>::ints where{};
            for (std::int32_t tap = 0; tap < 9; ++tap) {
                const T* row = rows[tap / 3];
                const std::int64_t column = 2 * out_column + tap % 3 - 1;
                if (row == nullptr || column < 0 || column >= columns) continue;
                const V v = value(load_as<V>(row + column * channels + c), c);
                // NOLINTNEXTLINE(misc-redundant-expression): a NaN, which wins, as in PyTorch
                const auto wins = (v > best) | (v != v);
                best = wins ? v : best;
                where = wins ? typename lanes_of<V>::ints{} + tap : where;
            }
            store_as(y + out_column * channels + c, best);
            if (argmax != nullptr) store_bytes_as<V>(argmax + out_column * channels + c, where);
        });
    };
    const std::int64_t out_columns = (columns - 1) / 2 + 1;
    for (std::int64_t out_column = 0; out_column < out_columns; ++out_column)
        if (scale != nullptr)
            pool(out_column, [scale, shift]<typename V>(V x, std::int64_t c) {
                const V a = load_as<V>(scale + c) * x + load_as<V>(shift + c);
                return a < V{} ? V{} : a;
            });
        else
            pool(out_column, [](auto x, std::int64_t) { return x; });
}

template <typename T>
void max_pool_backward_row(const typename loops<T>::pool_gradient sources[2], std::int64_t columns,
                           std::int64_t channels, T* __restrict dx) {
    const std::int64_t out_columns = (columns - 1) / 2 + 1;
    for (std::int64_t column = 0; column < columns; ++column)
        for_lanes(channels, [&]<typename V>(V sum, std::int64_t c) {
            for (int i = 0; i < 2; ++i) {
                const auto& source = sources[i];
                if (source.dy == nullptr) continue;
                // Output columns whose window covers this one: column/2 alone for an even one, (column-1)/2
                // and (column+1)/2 for an odd one.
                for (std::int64_t out = column / 2; out <= (column + 1) / 2 && out < out_columns; ++out) {
                    const auto tap = 3 * source.tap_row + static_cast<std::int32_t>(column + 1 - 2 * out);
                    const std::int64_t at = out * channels + c;
                    V g = load_as<V>(source.dy + at);
                    if (source.dy2 != nullptr) g += load_as<V>(source.dy2 + at);
                    sum += load_bytes_as<V>(source.argmax + at) == tap ? g : V{};
                }
            }
            store_as(dx + column * channels + c, sum);
        });
}

template <typename T>
void photo_to_channels_last(const std::uint8_t* __restrict pixels, std::int64_t count,
                            const float (*table)[256], T* __restrict y) {
    for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t c = 0; c < 3; ++c) store(y[3 * i + c], table[c][pixels[3 * i + c]]);
}

template <typename T>
void photo_to_plane(const std::uint8_t* __restrict pixels, std::int64_t count, const float* table,
                    T* __restrict y) {
    for (std::int64_t i = 0; i < count; ++i) store(y[i], table[pixels[3 * i]]);
}

void adam_update(float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v,
                 std::int64_t count, const adam_constants& a) {
    const float rate = a.lr / a.debias1, inverse_debias2 = 1.0F / a.debias2;
    for (std::int64_t i = 0; i < count; ++i) {
        const float gradient = g[i] * a.inverse_scale;
        m[i] = a.mom * m[i] + (1.0F - a.mom) * gradient;
        v[i] = a.beta2 * v[i] + (1.0F - a.beta2) * gradient * gradient;
        const float root = __builtin_sqrtf(v[i] * inverse_debias2);
        p[i] = p[i] * a.shrink - rate * m[i] / (root + a.epsilon);
    }
}

template <typename T>
constexpr loops<T> all_loops{moments<T>,
                             apply<T>,
                             gradient_sums<T>,
                             gradient_apply<T>,
                             max_pool_row<T>,
                             max_pool_backward_row<T>,
                             photo_to_channels_last<T>,
                             photo_to_plane<T>};

} // namespace

const loops<float> float_loops = all_loops<float>;
const loops<bf16> bf16_loops = all_loops<bf16>;
const adam_loop adam = adam_update;

} // namespace petnet::kernels::cpu::PETNET_ISA
