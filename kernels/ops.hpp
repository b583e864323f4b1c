// SPDX-License-Identifier: Apache-2.0
// The operations of fine-tuning, one contract each: formula, shapes, what is assigned, what may share memory.
//
// An operation is a struct: its constants and the views it works on. A backend prepares it once for these
// shapes and addresses and executes it many times (backend.hpp). For every operation:
//   * outputs are assigned, never added to, unless the contract says "updated";
//   * views that share memory are allowed only where the contract says so;
//   * the result is a pure function of the inputs and the number of threads: same inputs, same bits;
//   * activations ("activation" below) have shape (batch, channels, height, width), dtype f32, bf16 or f16
//   and
//     the layout of backend::activation(); a batch of feature vectors is a row-major f32 tensor (batch,
//     features);
//   * arithmetic and statistics are f32 (f64 on the double reference), whatever the dtype of the activations.
// cost.hpp gives each operation's bytes and FLOPs.
#pragma once

#include "kernels/tensor.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <variant>
#include <vector>

namespace petnet::kernels {

// ---------------------------------------------------------------------------------------------------------
// Photographs

// Cuts the squares of a batch out of photographs that lie in the device's memory half resized: one axis has
// the square's length already, the other, the free axis, is resampled here. (data/resize.hpp makes such
// photographs and what the places say of them, and tells where the formula comes from.) For photograph n with
// p = places[n], a point of the square has a position i along the free axis and j across it: i is its row and
// j its column where p.vertical is 1, the other way round where it is 0.
//   (first, count, weights...) = the 2 + p.taps numbers from tables[p.table + i*(2 + p.taps)] on
//   sum[c] = sum over k < count of weights[k] * store[p.source + (first+k)*along + j*across + c]
//   pixels[n, row, column, c] = clamp((sum[c] + 2^21) >> 22, 0, 255): exact on every backend
// where the steps are p.stride bytes from row to row and 3 bytes from column to column.
//   store   u8 (bytes), tables i32 (numbers): what places point to. That it lies inside and that sums stay
//           within 32 bits is the caller's affair. The two may share memory.
//   places  u64 (batch, cut_place_columns): a cut_place each
//   pixels  u8 (batch, size, size, 3), row-major, RGB
struct cut_photographs {
    tensor_view store, tables, places, pixels;
};
struct cut_place {
    std::uint64_t source = 0, stride = 0, table = 0, taps = 0, vertical = 0;
    bool operator==(const cut_place&) const = default;
};
inline constexpr std::int64_t cut_place_columns = sizeof(cut_place) / sizeof(std::uint64_t);

// y[n,c,h,w] = (pixels[n,h,w,c] / 255 - mean[c]) / deviation[c]
//   pixels  u8 (batch, height, width, 3), row-major, RGB
//   y       activation (batch, 3, height, width)
struct photo_to_tensor {
    tensor_view pixels, y;
    std::array<float, 3> mean{}, deviation{};
};

// A photograph sampled at the points of a projective grid, its light changed, and normalised: what fastai's
// batch transforms make of it (vision/augment.py: aug_transforms, then Normalize). With p = pixels / 255:
//   1. p is shrunk to averaged_extents() where it is more than twice as large as y (area_average.hpp).
//   2. s[n,c,h,w] = p at the point (u/t, v/t), where (u, v, t) = M[n] * (x(w), x(h), 1) and x runs from -1 to
//      1 over the pixels' centres of an axis of y (0 where it has one). -1 and 1 of the point are the centres
//      of the outermost pixels of p; beyond them p is reflected; between pixels it is bilinear. (PyTorch's
//      grid_sample: align_corners, reflection.)
//   3. s = sigmoid(contrast[n] * (logit(s) + brightness[n])), s clamped to [e, 1-e] before, e = 1e-7.
//   4. y[n,c,h,w] = (s - mean[c]) / deviation[c]
//   pixels      u8 (batch, any height, any width, 3), row-major, RGB; all sides are below 2^15 pixels
//   transforms  (optional) f32 (batch, photo_transform_columns), written by the host before each step: M row
//               by row, brightness, contrast. Absent: M is the identity, and step 3 is left out. Where t <= 0
//               or the point lies more than 1000 photographs away, y is undefined.
//   y           activation (batch, 3, height, width)
inline constexpr std::int64_t photo_transform_columns = 11;
struct sampled_photo_to_tensor {
    tensor_view pixels, transforms, y;
    std::array<float, 3> mean{}, deviation{};
};

// ---------------------------------------------------------------------------------------------------------
// Convolution: cross-correlation, square kernel, zero padding, no bias, no groups.

struct convolution_shape {
    std::int64_t batch = 0, in_channels = 0, height = 0, width = 0;
    std::int64_t out_channels = 0, kernel = 0, stride = 1, padding = 0;

    [[nodiscard]] constexpr std::int64_t out_height() const noexcept {
        return (height + 2 * padding - kernel) / stride + 1;
    }
    [[nodiscard]] constexpr std::int64_t out_width() const noexcept {
        return (width + 2 * padding - kernel) / stride + 1;
    }
    [[nodiscard]] shape x() const { return {batch, in_channels, height, width}; }
    [[nodiscard]] shape w() const { return {out_channels, in_channels, kernel, kernel}; }
    [[nodiscard]] shape y() const { return {batch, out_channels, out_height(), out_width()}; }
    bool operator==(const convolution_shape&) const = default;
};

// y[n,k,p,q] = sum over c,r,s of a[n,c,p*stride+r-padding,q*stride+s-padding] * w[k,c,r,s], where a = x, or,
// where `saved` is present, a = relu(scale*x + shift), with rows 2 and 3 of batch_norm_forward's `saved`: a
// batch norm with its ReLU that has no tensor of its own. Padding is zeros of a.
//   x, y   activations of shape.x(), shape.y(), the same dtype, which a is rounded to as well; a backend may
//          round scale and shift to it first
//   w      f32 master weights of shape.w(), layout of backend::convolution_weights(shape, dtype of x); they
//          are rounded to the activations' dtype inside
//   saved  (optional) f32 (4, in_channels)
struct convolution_forward {
    convolution_shape shape;
    tensor_view x, w, y, saved;
};

// dx = the gradient of the loss with respect to a, given dy with respect to y.
struct convolution_backward_data {
    convolution_shape shape;
    tensor_view dy, w, dx;
};

// dw = the gradient with respect to w: f32, layout of w. A backend may round it to the dtype of the
// activations first, as cuDNN does. a is read as in the forward pass.
struct convolution_backward_weights {
    convolution_shape shape;
    tensor_view x, dy, dw, saved;
};

// ---------------------------------------------------------------------------------------------------------
// Batch normalisation (Ioffe, Szegedy 2015, algorithm 1), with what surrounds it in a ResNet.
// x is an activation (batch, channels, height, width) or features (batch, channels); the statistics of a
// channel run over its M = batch*height*width elements. gamma, beta and statistics are f32 (channels).

inline constexpr double batch_norm_epsilon = 1e-5;
inline constexpr double batch_norm_momentum = 0.1;

// Training mode:
//   mean = sum(x)/M, variance = sum((x-mean)^2)/M (biased), inverse deviation = 1/sqrt(variance+epsilon)
//   scale = gamma * inverse deviation, shift = beta - mean*scale
//   y = relu?(scale*x + shift + residual?)
//   running_mean and running_variance are updated: r += momentum*(new - r), where the new variance is the
//   unbiased one, sum((x-mean)^2)/(M-1)
//   saved   f32 (4, channels): mean, inverse deviation, scale, shift, for the backward pass
//   residual (optional), y   as x. y may be x or residual. y may be absent: then only the statistics, the
//   running updates and `saved` are computed, for max_pool_forward or convolutions to apply.
// M = 1 has no unbiased variance: std::logic_error when prepared.
struct batch_norm_forward {
    tensor_view x, gamma, beta, running_mean, running_variance, residual, y, saved;
    bool relu = false;
};

// Evaluation mode: scale = gamma/sqrt(running_variance+epsilon), shift = beta - running_mean*scale,
// y = relu?(scale*x + shift + residual?). y may be x or residual. y may be absent; saved (optional with y) is
// that of batch_norm_forward, of the running statistics, for max_pool_forward.
struct batch_norm_inference {
    tensor_view x, gamma, beta, running_mean, running_variance, residual, y, saved;
    bool relu = false;
};

// Gradients of batch_norm_forward. With g = dy + dy2?, set to 0 where ReLU cut (relu and output <= 0):
//   dbeta = sum(g), dgamma = sum(g * xhat), xhat = (x-mean)*inverse deviation
//   dx = scale * (g - dbeta/M - xhat*dgamma/M)
//   dresidual (optional) = g
//   y       the forward output, needed where relu follows a residual; without a residual it may be absent:
//           the cut is then recomputed as scale*x + shift <= 0, in float32 (a convolution that read through
//           the batch norm may have cut elsewhere, by the rounding of scale and shift)
//   dx may be dy when dresidual is absent; dresidual may be dy; dx and dresidual are distinct.
//   dx may be absent (only dgamma, dbeta and dresidual are wanted).
struct batch_norm_backward {
    tensor_view dy, dy2, x, y, gamma, saved, dx, dgamma, dbeta, dresidual;
    bool relu = false;
};

// ---------------------------------------------------------------------------------------------------------
// Pooling

// 3x3 window, stride 2, padding 1 (padding never wins), over a = x, or a = relu(scale*x + shift) where
// `saved` is present (rows 2 and 3 of batch_norm_forward's `saved`): the stem's BN + ReLU without a tensor
// of its own.
//   y       activation (batch, channels, (height-1)/2+1, (width-1)/2+1) = the window's maximum of a
//   argmax  (optional) u8, shape and layout of y: the window's position,
//           3*row + column, of the first maximum in row-major order
struct max_pool_forward {
    tensor_view x, saved, y, argmax;
};

// dx = gradient with respect to a: each dy + dy2? goes to its argmax, all else 0. Windows that overlap on an
// element are added in row-major order of the windows.
struct max_pool_backward {
    tensor_view dy, dy2, argmax, dx;
};

// y[n, 0..C-1] = max over the plane of channel c, y[n, C..2C-1] = its average ("adaptive concat pool").
//   x       activation (batch, C, height, width)     y       features f32 (batch, 2C)
//   argmax  (optional) i32 (batch, C): index h*width + w of the first maximum
struct concat_pool_forward {
    tensor_view x, y, argmax;
};

// dx[n,c,h,w] = dy[n,C+c]/(height*width) + (argmax there ? dy[n,c] : 0)
struct concat_pool_backward {
    tensor_view dy, argmax, dx;
};

// ---------------------------------------------------------------------------------------------------------
// The head. All tensors f32, row-major.

// y[n,o] = relu?(sum over i of x[n,i]*w[o,i]);   x (batch, in), w (out, in), y (batch, out)
struct linear_forward {
    tensor_view x, w, y;
    bool relu = false;
};

// With g = dy, set to 0 where y <= 0 if relu:  dw[o,i] = sum over n of g[n,o]*x[n,i];
// dx[n,i] = sum over o of g[n,o]*w[o,i].
//   dy is updated: it holds g afterwards.   y is needed only with relu.
struct linear_backward {
    tensor_view x, w, y, dy, dx, dw;
    bool relu = false;
};

// y[n,i] = x[n,i] * keep / (1 - probability), keep = 0 with the given probability, else 1. Also its own
// backward (y = dx, x = dy), as the draws depend on nothing but their keys:
//   keep[n,i] = random_key::from_state(row_keys[n]).child(layer).uniform(i) >= probability (base/random.hpp)
//   row_keys  u64 (batch): one stream of draws an image and step.   y may be x.
struct dropout {
    tensor_view x, row_keys, y;
    double probability = 0;
    std::uint64_t layer = 0;
};

// row_loss[n] = log(sum over c of exp(logits[n,c])) - logits[n,target[n]], the row's maximum subtracted first
//   loss         f32 (1): mean of row_loss (sum in double, in order)
//   predictions  i32 (batch): the first index of the row's maximum
//   dlogits      (optional) (softmax(logits) - one_hot(target)) / batch, times the scale where loss_scale is
//                present; may be logits
//   loss_scale   (optional) state of loss_scale_update
//   target       i32 (batch) in [0, classes); outside of it the row's loss is NaN and its gradient
//                undefined (but nothing outside the row is touched): data/ checks labels on the host
struct softmax_cross_entropy {
    tensor_view logits, target, loss, row_loss, predictions, dlogits, loss_scale;
};

// ---------------------------------------------------------------------------------------------------------
// Optimizer

// Dynamic loss scaling (Micikevicius et al. 2018: "Mixed precision training"), which keeps the gradients of
// f16 activations inside the format's range. With `finite`: no element of any gradient is an infinity or NaN,
//   inverse = finite ? 1 / scale : 0
//   good_steps = finite ? good_steps + 1 : 0;   skipped += finite ? 0 : 1
//   scale *= finite ? (good_steps reached loss_scale_interval ? 2, and good_steps = 0 : 1) : 1/2
//   state  f32 (loss_scale_columns), updated: scale (of the next step's loss), inverse (what this step's
//          gradients are multiplied by; 0: the step is skipped), good_steps, skipped (steps so far)
// The constants are those of PyTorch's GradScaler.
inline constexpr std::int64_t loss_scale_columns = 4;
inline constexpr float loss_scale_start = 65536;
inline constexpr int loss_scale_interval = 2000;
struct loss_scale_update {
    std::vector<tensor_view> gradients; // f32, any shapes
    tensor_view state;
};
// The formula above, on loss_scale_columns values.
template <class Value> constexpr void update_loss_scale(Value* state, bool finite) noexcept {
    Value &scale = state[0], &inverse = state[1], &good_steps = state[2], &skipped = state[3];
    inverse = finite ? 1 / scale : 0;
    good_steps = finite ? good_steps + 1 : 0;
    skipped += finite ? 0 : 1;
    if (!finite) scale /= 2;
    if (good_steps >= loss_scale_interval) {
        scale *= 2;
        good_steps = 0;
    }
}

// Adam (Kingma, Ba 2015) in fastai's form, one step over many tensors:
//   p *= 1 - lr*weight_decay (where decay); m = mom*m + (1-mom)*g; v = beta2*v + (1-beta2)*g^2
//   p -= lr/(1-mom^t) * m / (sqrt(v/(1-beta2^t)) + epsilon)
// p, m, v are updated; all four have the same descriptor. t counts the parameter's own steps.
struct adam_parameter {
    tensor_view p, g, m, v;
    std::int64_t settings_row = 0;
    bool decay = false;
};
//   settings    f32 (rows, adam_settings_columns): lr, mom, t of each row, written by the host before each
//               step; powers of mom and beta2 are taken in f64
//   loss_scale  (optional) state of loss_scale_update: g is multiplied by `inverse` first, t is less by
//               `skipped`, and where `inverse` is 0 nothing is updated
inline constexpr std::int64_t adam_settings_columns = 3;
struct adam_step {
    std::vector<adam_parameter> parameters;
    tensor_view settings, loss_scale;
    double beta2 = 0.99, epsilon = 1e-5, weight_decay = 0.01;
};

// ---------------------------------------------------------------------------------------------------------
// All of them, for code that treats operations alike.

using operation_params =
    std::variant<cut_photographs, photo_to_tensor, sampled_photo_to_tensor, convolution_forward,
                 convolution_backward_data, convolution_backward_weights, batch_norm_forward,
                 batch_norm_inference, batch_norm_backward, max_pool_forward, max_pool_backward,
                 concat_pool_forward, concat_pool_backward, linear_forward, linear_backward, dropout,
                 softmax_cross_entropy, loss_scale_update, adam_step>;

[[nodiscard]] std::string_view name_of(const operation_params& op); // "convolution_forward"

// Whether it is a convolution, or a gradient of its weights, that reads through a batch norm (`saved`).
[[nodiscard]] bool convolves_through_norm(const operation_params& op);

enum class access : std::uint8_t { read, write, update };

// Calls `visit` with the name, view and access of every present operand, in the order of declaration.
// The views may be changed: the memory planner fills in addresses.
void for_each_operand(
    operation_params& op,
    const std::function<void(std::string_view name, tensor_view& view, access kind)>& visit);
void for_each_operand(
    const operation_params& op,
    const std::function<void(std::string_view name, const tensor_view& view, access kind)>& visit);

// Checks what the contracts above say of presence, ranks, extents and dtypes; std::logic_error naming the
// operation, the rule and the actual value. Backends call it first in prepare().
void check_contract(const operation_params& op);

} // namespace petnet::kernels
