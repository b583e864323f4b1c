// SPDX-License-Identifier: Apache-2.0
// Convolutions in plain loops in the place of cuDNN's, so that the whole cuda backend runs in the tests
// without a GPU: queued on the stream and captured into graphs like the real ones. Products and sums in
// float32, as on a GPU's tensor cores.
#include "tests/kernels/cuda/plain_convolutions.hpp"

#include "cuda_host/control.hpp"
#include "kernels/cuda/element.cuh"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

constexpr std::int64_t lanes = 4; // stored channels come in fours
using four = std::array<float, 4>;

void add_product(four& sums, const float* a, const float* b) {
    for (std::size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += a[lane] * b[lane];
}

// Offsets of NHWC and KRSC tensors, and the pixel of x under a tap of the kernel at a pixel of y.
struct geometry : convolution_shape {
    [[nodiscard]] std::int64_t x_at(std::int64_t n, std::int64_t h, std::int64_t w) const {
        return ((n * height + h) * width + w) * in_channels;
    }
    [[nodiscard]] std::int64_t y_at(std::int64_t n, std::int64_t p, std::int64_t q) const {
        return ((n * out_height() + p) * out_width() + q) * out_channels;
    }
    [[nodiscard]] std::int64_t w_at(std::int64_t k, std::int64_t r, std::int64_t s) const {
        return ((k * kernel + r) * kernel + s) * in_channels;
    }
    // visit(offset of the pixel of y, offset of the tap's weights, offset of the pixel of x).
    template <class Visit> void for_each_tap(const Visit& visit) const {
        for (std::int64_t n = 0; n < batch; ++n)
            for (std::int64_t p = 0; p < out_height(); ++p)
                for (std::int64_t q = 0; q < out_width(); ++q)
                    for (std::int64_t r = 0; r < kernel; ++r)
                        for (std::int64_t s = 0; s < kernel; ++s) {
                            const std::int64_t h = p * stride + r - padding, w = q * stride + s - padding;
                            if (h >= 0 && h < height && w >= 0 && w < width)
                                visit(y_at(n, p, q), w_at(0, r, s), x_at(n, h, w));
                        }
    }
};

// `to_next`: from one out-channel's weights to the next's.
void forward(const geometry& g, const float* x, const float* w, float* y) {
    const std::int64_t to_next = g.w_at(1, 0, 0);
    g.for_each_tap([&](std::int64_t y_at, std::int64_t w_at, std::int64_t x_at) {
        for (std::int64_t k = 0; k < g.out_channels; ++k) {
            four sums{};
            for (std::int64_t c = 0; c < g.in_channels; c += lanes)
                add_product(sums, x + x_at + c, w + k * to_next + w_at + c);
            y[y_at + k] += (sums[0] + sums[1]) + (sums[2] + sums[3]);
        }
    });
}
// add(dy, place in w, place in x) for every product of a backward pass.
template <class Add> void for_each_product(const geometry& g, const float* dy, const Add& add) {
    const std::int64_t to_next = g.w_at(1, 0, 0);
    g.for_each_tap([&](std::int64_t y_at, std::int64_t w_at, std::int64_t x_at) {
        for (std::int64_t k = 0; k < g.out_channels; ++k) {
            const float factor = dy[y_at + k];
            const std::int64_t weights = k * to_next + w_at;
            for (std::int64_t c = 0; c < g.in_channels; ++c) add(factor, weights + c, x_at + c);
        }
    });
}

template <class Element> std::vector<float> widened(const std::byte* from, const shape& dims) {
    const auto* elements = reinterpret_cast<const Element*>(from);
    std::vector<float> values(static_cast<std::size_t>(dims.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_float(elements[i]);
    return values;
}
template <class Element> void narrow(const std::vector<float>& values, std::byte* to) {
    auto* elements = reinterpret_cast<Element*>(to);
    for (std::size_t i = 0; i < values.size(); ++i) elements[i] = from_float<Element>(values[i]);
}

// What is convolved where it is read through a batch norm: in the activations' format, as scale and shift
// are.
template <class Element>
void apply_norm(std::vector<float>& x, std::int64_t channels, const std::byte* scale_and_shift) {
    const auto* scale = reinterpret_cast<const float*>(scale_and_shift);
    const auto rounded = [](float value) { return to_float(from_float<Element>(value)); };
    for (std::size_t i = 0; i < x.size(); ++i) {
        const std::int64_t c = static_cast<std::int64_t>(i) % channels;
        x[i] = rounded(std::max(0.0F, x[i] * rounded(scale[c]) + rounded(scale[channels + c])));
    }
}

// sum(y) and sum(y^2) of each channel, of the values before they are rounded.
void add_sums(const std::vector<float>& y, std::int64_t channels, float* sums) {
    std::fill_n(sums, 2 * channels, 0.0F);
    for (std::size_t i = 0; i < y.size(); ++i) {
        const std::int64_t channel = static_cast<std::int64_t>(i) % channels;
        sums[channel] += y[i];
        sums[channels + channel] += y[i] * y[i];
    }
}
// Cuts dx where the ReLU was, and adds its sums. The coefficients of cuDNN's that nobody reads are NaN.
void cut_and_add_sums(std::vector<float>& dx, const std::vector<float>& x, std::int64_t channels,
                      const convolution_operands& on) {
    std::fill_n(on.sums, 5 * channels, std::numeric_limits<float>::quiet_NaN());
    std::fill_n(on.sums, 2 * channels, 0.0F);
    for (std::size_t i = 0; i < dx.size(); ++i) {
        const std::int64_t c = static_cast<std::int64_t>(i) % channels;
        const float xhat = (x[i] - on.mean[c]) * on.inverse_deviation[c];
        if (!(xhat * on.gamma[c] + on.beta[c] > 0)) dx[i] = 0;
        on.sums[c] += dx[i];
        on.sums[channels + c] += dx[i] * xhat;
    }
}

template <class Element> void compute(const stored_convolution& problem, const convolution_operands& on) {
    const std::byte *a = on.a, *b = on.b;
    std::byte* result = on.result;
    const geometry g{problem.shape};
    const auto zeros = [](const shape& dims) {
        return std::vector<float>(static_cast<std::size_t>(dims.elements()));
    };
    if (problem.kind == convolution_kind::forward || problem.kind == convolution_kind::forward_and_sums) {
        auto x = widened<Element>(a, g.x());
        const auto w = widened<Element>(b, g.w());
        if (problem.through_norm) apply_norm<Element>(x, g.in_channels, on.scale_and_shift);
        auto y = zeros(g.y());
        forward(g, x.data(), w.data(), y.data());
        if (problem.kind == convolution_kind::forward_and_sums) add_sums(y, g.out_channels, on.sums);
        narrow<Element>(y, result);
    } else if (problem.kind != convolution_kind::backward_weights) {
        const auto dy = widened<Element>(a, g.y()), w = widened<Element>(b, g.w());
        auto dx = zeros(g.x());
        for_each_product(
            g, dy.data(),
            [&, from = w.data(), to = dx.data()](float factor, std::int64_t weight, std::int64_t x) {
                to[x] += factor * from[weight];
            });
        if (problem.kind == convolution_kind::backward_data_and_sums)
            cut_and_add_sums(dx, widened<Element>(on.normalised, g.x()), g.in_channels, on);
        narrow<Element>(dx, result);
    } else {
        auto x = widened<Element>(a, g.x());
        const auto dy = widened<Element>(b, g.y());
        if (problem.through_norm) apply_norm<Element>(x, g.in_channels, on.scale_and_shift);
        auto dw = zeros(g.w());
        for_each_product(
            g, dy.data(),
            [&, from = x.data(), to = dw.data()](float factor, std::int64_t weight, std::int64_t at) {
                to[weight] += factor * from[at];
            });
        for (float& value : dw) value = to_float(from_float<Element>(value)); // as cuDNN's, which are 16 bits
        narrow<float>(dw, result);
    }
}

class plain_plan final : public convolution_plan {
  public:
    plain_plan(const stored_convolution& problem, std::size_t workspace_bytes)
        : problem_(problem), workspace_bytes_(workspace_bytes) {}
    [[nodiscard]] std::size_t workspace_bytes() const override { return workspace_bytes_; }
    void execute(const convolution_operands& on, std::byte*, cudaStream_t on_stream) override {
        with_element(problem_.activations, 8, [&]<class Element, class Width>(Element, Width) {
            cuda_host::enqueue(on_stream, [problem = problem_, on] { compute<Element>(problem, on); });
        });
    }

  private:
    stored_convolution problem_;
    std::size_t workspace_bytes_;
};

// Nothing is timed here: pairs are done in one where that is asked for, and a pair that then does not agree
// is a mistake.
class plain_convolutions final : public convolutions {
  public:
    explicit plain_convolutions(fusion fuse) : fuse_(fuse) {}
    [[nodiscard]] std::shared_ptr<convolution_plan> plan(const stored_convolution& problem) override {
        if (problem.through_norm && fuse_ != fusion::always) return nullptr;
        return std::make_shared<plain_plan>(problem, workspace_bytes_);
    }
    [[nodiscard]] std::shared_ptr<convolution_plan>
    plan_of_pair(const stored_convolution& problem, const std::string& pair,
                 const std::function<std::unique_ptr<pair_trial>()>& make_trial) override {
        if (fuse_ != fusion::always) return nullptr;
        auto fused = plan(problem);
        if (std::ranges::find(agreed_, pair) == agreed_.end()) {
            if (!make_trial()->agrees(fused)) throw std::logic_error(pair + ": the results differ");
            agreed_.push_back(pair);
        }
        return fused;
    }
    [[nodiscard]] bool can_fuse(const stored_convolution&) override { return fuse_ == fusion::always; }
    [[nodiscard]] bool
    takes_alternative(const std::string& ways,
                      const std::function<std::unique_ptr<alternative_trial>()>& make_trial) override {
        if (fuse_ != fusion::always) return false;
        if (std::ranges::find(agreed_, ways) == agreed_.end()) {
            if (!make_trial()->agrees()) throw std::logic_error(ways + ": the results differ");
            agreed_.push_back(ways);
        }
        return true;
    }
    [[nodiscard]] bool reduce_workspaces() override {
        if (workspace_bytes_ == smallest_plain_workspace) return false;
        workspace_bytes_ /= 2;
        return true;
    }
    [[nodiscard]] std::string description() const override { return "convolutions in plain loops"; }

  private:
    fusion fuse_;
    std::size_t workspace_bytes_ = largest_plain_workspace; // nothing is done with it
    std::vector<std::string> agreed_;
};

} // namespace

std::shared_ptr<convolution_plan> make_plain_plan(const stored_convolution& problem) {
    return std::make_shared<plain_plan>(problem, 0);
}

std::unique_ptr<convolutions> make_convolutions(cudaStream_t, const backend_options& options) {
    return std::make_unique<plain_convolutions>(options.fuse);
}

std::string why_no_convolutions() { return {}; }

} // namespace petnet::kernels::cuda
