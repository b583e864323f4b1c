// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/winograd.hpp"

#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/winograd_loops.hpp"

#include <algorithm>

namespace petnet::kernels::cpu {
namespace {

using index = std::int64_t;

// A line of the cache between matrices that are written side by side: at powers of two they would share a
// few sets of the cache.
constexpr index skew = 16;
constexpr index point_bytes = winograd_points * sizeof(float);

struct range {
    index begin, end;
    [[nodiscard]] index size() const { return end - begin; }
};
range share(index count, index part, index parts) {
    return {count * part / parts, count * (part + 1) / parts};
}
index divide_up(index count, index by) { return (count + by - 1) / by; }

// The 4x4 tiles of a batch, image after image, row after row.
struct tiling {
    index across, per_image, count;
    explicit tiling(const convolution_shape& s)
        : across(divide_up(s.width, winograd_outputs)),
          per_image(across * divide_up(s.height, winograd_outputs)),
          count(s.batch * per_image) {}

    struct place {
        index image, top, left; // of its outputs
    };
    [[nodiscard]] place at(index tile) const {
        const index inside = tile % per_image;
        return {tile / per_image, inside / across * winograd_outputs, inside % across * winograd_outputs};
    }
};

// A batch of images, channels last.
class image_batch {
  public:
    explicit image_batch(const tensor_view& view)
        : first_(elements<float>(view)), layout_{view.desc.dims[2], view.desc.dims[3], view.desc.dims[1]} {}
    [[nodiscard]] float* image(index n) const {
        return first_ + n * layout_.channels * layout_.height * layout_.width;
    }
    [[nodiscard]] const winograd_image& layout() const { return layout_; }
    [[nodiscard]] index channels() const { return layout_.channels; }

  private:
    float* first_;
    winograd_image layout_;
};

// y of x, or dx of dy, which is the same with the weights turned.
class winograd_convolution final : public operation {
  public:
    winograd_convolution(const context& cpu, const convolution_shape& shape, const tensor_view& from,
                         const tensor_view& weights, const tensor_view& to, bool turned)
        : loops_(*best_winograd_loops()),
          shape_(shape),
          tiles_(shape),
          from_(from),
          to_(to),
          weights_(elements<float>(weights)),
          turned_(turned),
          threads_(cpu.threads()) {
        // As many tiles as fit into the second-level cache when transformed: one pass over the weights, which
        // come from the third level, serves all of them.
        constexpr index second_level = 1 << 20;
        const index most = divide_up(tiles_.count, threads_);
        block_ = divide_up(std::min(most, second_level / (point_bytes * from_.channels())), winograd_rows) *
                 winograd_rows;
        all_weights_ = most > block_;
        const index panels = to_.channels() / winograd_panel;
        const index kept = all_weights_ ? panels : std::min<index>(panels, 2);
        panel_floats_ = winograd_points * from_.channels() * winograd_panel;
        inputs_ = {nullptr, block_ * from_.channels() + skew, from_.channels()};
        outputs_ = {nullptr, block_ * winograd_panel + skew, winograd_panel};
        weights_floats_ = kept * panel_floats_;
    }

    std::size_t workspace_bytes() const override {
        return sizeof(float) *
               static_cast<std::size_t>(weights_floats_ + threads_ * winograd_points *
                                                              (inputs_.point_stride + outputs_.point_stride));
    }

    void execute(std::byte* workspace) override {
        auto* const packed = reinterpret_cast<float*>(workspace);
        const index panels = to_.channels() / winograd_panel;
#pragma omp parallel num_threads(threads_)
        {
            const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
            if (all_weights_) {
                for_parts(thread, threads, [&](index part) {
                    for (index panel = 0; panel < panels; ++panel)
                        pack(panel, part, packed + panel * panel_floats_);
                });
#pragma omp barrier
                for_parts(thread, threads, [&](index part) {
                    const range mine = share(tiles_.count, part, threads_);
                    for (index first = mine.begin; first < mine.end; first += block_) {
                        const range tiles{first, std::min(first + block_, mine.end)};
                        transform(tiles, part, packed);
                        for (index panel = 0; panel < panels; ++panel)
                            multiply(tiles, part, packed, packed + panel * panel_floats_, panel);
                    }
                });
            } else {
                for_parts(thread, threads,
                          [&](index part) { transform(share(tiles_.count, part, threads_), part, packed); });
                // A panel of weights is used as soon as it is packed, while it is in the cache. The next one
                // is packed beside it, so that one barrier is enough.
                for (index panel = 0; panel < panels; ++panel) {
                    float* const at = packed + panel % 2 * panel_floats_;
                    for_parts(thread, threads, [&](index part) { pack(panel, part, at); });
#pragma omp barrier
                    for_parts(thread, threads, [&](index part) {
                        multiply(share(tiles_.count, part, threads_), part, packed, at, panel);
                    });
                }
            }
        }
    }

  private:
    // Calls body(part) for each of this thread's parts of the work: one, unless OpenMP gave fewer threads
    // than were asked for, which changes no bit.
    template <typename Body> void for_parts(int thread, int threads, const Body& body) const {
        for (int part = thread; part < threads_; part += threads) body(part);
    }
    void pack(index panel, index part, float* to) const {
        const range vectors = share(from_.channels() / winograd_vector, part, threads_);
        (turned_ ? loops_.transform_turned_weights : loops_.transform_weights)(
            weights_, shape_.in_channels, shape_.out_channels, panel * winograd_panel,
            vectors.begin * winograd_vector, vectors.end * winograd_vector, to);
    }
    // A part's place in the workspace, behind the weights.
    [[nodiscard]] winograd_matrices inputs_of(index part, float* workspace) const {
        winograd_matrices inputs = inputs_;
        inputs.data = workspace + weights_floats_ +
                      part * winograd_points * (inputs_.point_stride + outputs_.point_stride);
        return inputs;
    }
    void transform(range tiles, index part, float* workspace) const {
        const winograd_matrices inputs = inputs_of(part, workspace);
        for (index tile = tiles.begin; tile < tiles.end; ++tile) {
            const auto [image, top, left] = tiles_.at(tile);
            loops_.transform_input(from_.image(image), from_.layout(), top - 1, left - 1, inputs,
                                   tile - tiles.begin);
        }
    }
    void multiply(range tiles, index part, float* workspace, const float* weights, index panel) const {
        const winograd_matrices inputs = inputs_of(part, workspace);
        winograd_matrices outputs = outputs_;
        outputs.data = inputs.data + winograd_points * inputs.point_stride;
        for (index point = 0; point < winograd_points; ++point)
            loops_.multiply(inputs.data + point * inputs.point_stride, inputs.row_stride,
                            weights + point * from_.channels() * winograd_panel, tiles.size(),
                            from_.channels(), outputs.data + point * outputs.point_stride,
                            outputs.row_stride);
        for (index tile = tiles.begin; tile < tiles.end; ++tile) {
            const auto [image, top, left] = tiles_.at(tile);
            loops_.transform_output(outputs, tile - tiles.begin, to_.image(image) + panel * winograd_panel,
                                    to_.layout(), top, left);
        }
    }

    const winograd_loops& loops_;
    convolution_shape shape_;
    tiling tiles_;
    image_batch from_, to_;
    const float* weights_;
    bool turned_;
    int threads_;
    index block_;      // tiles at once
    bool all_weights_; // are packed before the first block, as there are several; else panel by panel
    index weights_floats_, panel_floats_;
    winograd_matrices inputs_, outputs_; // of a part of the work, without their place
};

class winograd_weights_gradient final : public operation {
  public:
    winograd_weights_gradient(const context& cpu, const convolution_backward_weights& op)
        : loops_(*best_winograd_loops()),
          tiles_(op.shape),
          x_(op.x),
          dy_(op.dy),
          dw_(elements<float>(op.dw)),
          threads_(cpu.threads()) {
        const index in = x_.channels(), out = dy_.channels();
        // Sums that stay in the caches next to the cores want transformed tiles that do, too; others are read
        // and written once for each chunk, which then is as large as the last cache.
        constexpr index near = 1 << 20, far = 16 << 20;
        const index budget = point_bytes * in * out <= 4 * near ? near : far;
        chunk_ = std::min(tiles_.count, std::max<index>(budget / (point_bytes * (in + out)), depth));
        inputs_ = {nullptr, chunk_ * (in + skew) + skew, in + skew};
        gradients_ = {nullptr, chunk_ * (out + skew) + skew, out + skew};
        sums_ = {nullptr, in * out + skew, out};
    }

    std::size_t workspace_bytes() const override {
        return sizeof(float) *
               static_cast<std::size_t>(
                   winograd_points * (inputs_.point_stride + gradients_.point_stride + sums_.point_stride));
    }

    void execute(std::byte* workspace) override {
        winograd_matrices inputs = inputs_, gradients = gradients_, sums = sums_;
        inputs.data = reinterpret_cast<float*>(workspace);
        gradients.data = inputs.data + winograd_points * inputs.point_stride;
        sums.data = gradients.data + winograd_points * gradients.point_stride;
#pragma omp parallel num_threads(threads_)
        {
            const index thread = omp_get_thread_num(), threads = omp_get_num_threads();
            for (index first = 0; first < tiles_.count; first += chunk_) {
                const index count = std::min(chunk_, tiles_.count - first);
                const range mine = share(count, thread, threads);
                for (index tile = mine.begin; tile < mine.end; ++tile) {
                    const auto [image, top, left] = tiles_.at(first + tile);
                    loops_.transform_input(x_.image(image), x_.layout(), top - 1, left - 1, inputs, tile);
                    loops_.transform_gradient(dy_.image(image), dy_.layout(), top, left, gradients, tile);
                }
#pragma omp barrier
                const index rows = x_.channels() / side;
                const range jobs = share(winograd_points * rows, thread, threads);
                for (index job = jobs.begin; job < jobs.end; ++job)
                    multiply(job / rows, job % rows * side, count, first > 0, inputs, gradients, sums);
#pragma omp barrier
            }
            const range rows = share(x_.channels(), thread, threads);
            loops_.transform_weights_gradient(sums, x_.channels(), dy_.channels(), rows.begin, rows.end, dw_);
        }
    }

  private:
    static constexpr index side = 64;  // of blocks of the sums
    static constexpr index depth = 64; // tiles at once: three blocks of 16 KB fit into the first-level cache

    void multiply(index point, index row, index count, bool add, const winograd_matrices& inputs,
                  const winograd_matrices& gradients, const winograd_matrices& sums) const {
        for (index column = 0; column < dy_.channels(); column += side)
            for (index tile = 0; tile < count; tile += depth)
                loops_.multiply_transposed(
                    inputs.data + point * inputs.point_stride + tile * inputs.row_stride + row,
                    inputs.row_stride,
                    gradients.data + point * gradients.point_stride + tile * gradients.row_stride + column,
                    gradients.row_stride, side, side, std::min(depth, count - tile),
                    sums.data + point * sums.point_stride + row * sums.row_stride + column, sums.row_stride,
                    add || tile > 0);
    }

    const winograd_loops& loops_;
    tiling tiles_;
    image_batch x_, dy_;
    float* dw_;
    int threads_;
    index chunk_;                                 // tiles at once
    winograd_matrices inputs_, gradients_, sums_; // without their place in the workspace
};

} // namespace

bool winograd_weights(const convolution_shape& shape, dtype activations) {
    return activations == dtype::f32 && best_winograd_loops() != nullptr && shape.kernel == 3 &&
           shape.stride == 1 && shape.padding == 1 && shape.in_channels % winograd_panel == 0 &&
           shape.out_channels % winograd_panel == 0;
}

bool winograd_applies(const convolution_shape& shape, dtype activations) {
    // For fewer, transforming the weights takes longer than is gained: 512 channels of 7x7 on an AMD EPYC.
    constexpr index least_tiles = 32;
    return winograd_weights(shape, activations) && tiling(shape).count >= least_tiles;
}

std::unique_ptr<operation> prepare_winograd(const context& cpu, const convolution_forward& op) {
    return std::make_unique<winograd_convolution>(cpu, op.shape, op.x, op.w, op.y, false);
}
std::unique_ptr<operation> prepare_winograd(const context& cpu, const convolution_backward_data& op) {
    return std::make_unique<winograd_convolution>(cpu, op.shape, op.dy, op.w, op.dx, true);
}
std::unique_ptr<operation> prepare_winograd(const context& cpu, const convolution_backward_weights& op) {
    return std::make_unique<winograd_weights_gradient>(cpu, op);
}

} // namespace petnet::kernels::cpu
