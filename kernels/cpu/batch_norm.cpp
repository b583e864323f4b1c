// SPDX-License-Identifier: Apache-2.0
// Batch normalisation with its residual, ReLU and gradients. Each pass over memory is one parallel loop; the
// per-channel sums of a piece are f32 (at most piece_elements / channels terms), those of a thread and of the
// whole tensor double, so the error does not grow with the size of the tensor.
#include "kernels/cpu/parallel.hpp"

#include <cmath>
#include <span>

namespace petnet::kernels::cpu {
namespace {

// Splits a workspace into per-channel arrays.
class channel_arrays {
  public:
    channel_arrays(std::byte* memory, std::int64_t channels) : next_(memory), channels_(channels) {}
    template <typename T> [[nodiscard]] T* take(std::int64_t count = 1) {
        T* result = reinterpret_cast<T*>(next_);
        next_ += static_cast<std::size_t>(count * channels_) * sizeof(T);
        return result;
    }
    template <typename T> [[nodiscard]] static std::size_t bytes(std::int64_t channels, std::int64_t count) {
        return static_cast<std::size_t>(channels * count) * sizeof(T);
    }

  private:
    std::byte* next_;
    std::int64_t channels_;
};

// Count, mean and sum of squared deviations of one channel, in double.
struct channel_moments {
    double count, mean, m2;
    // Chan, Golub, LeVeque 1983: the moments of two samples taken together.
    void merge(double other_count, double other_mean, double other_m2) {
        if (other_count == 0) return;
        const double total = count + other_count, delta = other_mean - mean;
        mean += delta * other_count / total;
        m2 += other_m2 + delta * delta * count * other_count / total;
        count = total;
    }
};

constexpr auto epsilon = batch_norm_epsilon;

template <typename T>
void apply_rows(const loops<T>& kernel, int threads, const row_view& view, const tensor_view& x,
                const tensor_view& residual, const tensor_view& y, const float* scale, const float* shift,
                bool relu) {
    const T* from = elements<T>(x);
    const T* added = elements<T>(residual);
    T* to = elements<T>(y);
    for_each_piece(view, threads, [&](const piece& p, int) {
        kernel.apply(from + p.first_element, added == nullptr ? nullptr : added + p.first_element,
                     to + p.first_element, p.rows, view.channels, scale + p.first_channel,
                     shift + p.first_channel, relu);
    });
}

template <typename T> class forward final : public operation {
  public:
    forward(context& cpu, const batch_norm_forward& op)
        : op_(op), view_(rows_of(op.x.desc)), channels_(op.x.desc.dims[1]), threads_(cpu.threads()) {}

    std::size_t workspace_bytes() const override {
        return channel_arrays::bytes<channel_moments>(channels_, threads_) +
               channel_arrays::bytes<float>(channels_, 2 * threads_);
    }

    void execute(std::byte* workspace) override {
        channel_arrays arrays(workspace, channels_);
        channel_moments* const moments = arrays.take<channel_moments>(threads_);
        float* const scratch = arrays.take<float>(2 * threads_);
        for (std::int64_t i = 0; i < threads_ * channels_; ++i) moments[i] = {};

        const T* x = elements<T>(op_.x);
        for_each_piece(view_, threads_, [&](const piece& p, int thread) {
            float* mean = scratch + 2 * thread * channels_;
            float* m2 = mean + view_.channels;
            kernel_.moments(x + p.first_element, p.rows, view_.channels, mean, m2);
            channel_moments* mine = moments + thread * channels_ + p.first_channel;
            for (std::int64_t c = 0; c < view_.channels; ++c)
                mine[c].merge(static_cast<double>(p.rows), static_cast<double>(mean[c]),
                              static_cast<double>(m2[c]));
        });
        for (int thread = 1; thread < threads_; ++thread)
            for (std::int64_t c = 0; c < channels_; ++c) {
                const channel_moments& other = moments[thread * channels_ + c];
                moments[c].merge(other.count, other.mean, other.m2);
            }
        finalise(moments);
        if (op_.y.present()) {
            const float* saved = elements<float>(op_.saved);
            apply_rows<T>(kernel_, threads_, view_, op_.x, op_.residual, op_.y, saved + 2 * channels_,
                          saved + 3 * channels_, op_.relu);
        }
    }

  private:
    void finalise(const channel_moments* moments) const {
        float* saved = elements<float>(op_.saved);
        float* running_mean = elements<float>(op_.running_mean);
        float* running_variance = elements<float>(op_.running_variance);
        const auto update = [](float& running, double value) {
            const auto old = static_cast<double>(running);
            running = static_cast<float>(old + batch_norm_momentum * (value - old));
        };
        for (std::int64_t c = 0; c < channels_; ++c) {
            const channel_moments& m = moments[c];
            const double inverse_deviation = 1.0 / std::sqrt(m.m2 / m.count + epsilon);
            const double scale = static_cast<double>(elements<float>(op_.gamma)[c]) * inverse_deviation;
            saved[c] = static_cast<float>(m.mean);
            saved[channels_ + c] = static_cast<float>(inverse_deviation);
            saved[2 * channels_ + c] = static_cast<float>(scale);
            saved[3 * channels_ + c] =
                static_cast<float>(static_cast<double>(elements<float>(op_.beta)[c]) - m.mean * scale);
            update(running_mean[c], m.mean);
            update(running_variance[c], m.m2 / (m.count - 1.0));
        }
    }

    batch_norm_forward op_;
    row_view view_;
    std::int64_t channels_;
    int threads_;
    const loops<T>& kernel_ = best_loops<T>();
};

template <typename T> class inference final : public operation {
  public:
    inference(context& cpu, const batch_norm_inference& op)
        : op_(op), view_(rows_of(op.x.desc)), channels_(op.x.desc.dims[1]), threads_(cpu.threads()) {}

    std::size_t workspace_bytes() const override { return channel_arrays::bytes<float>(channels_, 2); }

    void execute(std::byte* workspace) override {
        float* scale = reinterpret_cast<float*>(workspace);
        float* shift = scale + channels_;
        if (op_.saved.present()) {
            scale = elements<float>(op_.saved) + 2 * channels_;
            shift = scale + channels_;
        }
        for (std::int64_t c = 0; c < channels_; ++c) {
            const auto value = [c](const tensor_view& view) {
                return static_cast<double>(elements<float>(view)[c]);
            };
            const double inverse_deviation = 1.0 / std::sqrt(value(op_.running_variance) + epsilon);
            const double s = value(op_.gamma) * inverse_deviation;
            scale[c] = static_cast<float>(s);
            shift[c] = static_cast<float>(value(op_.beta) - value(op_.running_mean) * s);
            if (!op_.saved.present()) continue;
            elements<float>(op_.saved)[c] = elements<float>(op_.running_mean)[c];
            elements<float>(op_.saved)[channels_ + c] = static_cast<float>(inverse_deviation);
        }
        if (op_.y.present())
            apply_rows<T>(kernel_, threads_, view_, op_.x, op_.residual, op_.y, scale, shift, op_.relu);
    }

  private:
    batch_norm_inference op_;
    row_view view_;
    std::int64_t channels_;
    int threads_;
    const loops<T>& kernel_ = best_loops<T>();
};

template <typename T> class application final : public operation {
  public:
    application(context& cpu, const tensor_view& x, const tensor_view& saved, const tensor_view& y)
        : x_(x), saved_(saved), y_(y), view_(rows_of(x.desc)), threads_(cpu.threads()) {}

    void execute(std::byte*) override {
        const std::int64_t channels = x_.desc.dims[1];
        const float* scale = elements<float>(saved_) + 2 * channels;
        apply_rows<T>(kernel_, threads_, view_, x_, {}, y_, scale, scale + channels, true);
    }

  private:
    tensor_view x_, saved_, y_;
    row_view view_;
    int threads_;
    const loops<T>& kernel_ = best_loops<T>();
};

template <typename T> class backward final : public operation {
  public:
    backward(context& cpu, const batch_norm_backward& op)
        : op_(op), view_(rows_of(op.x.desc)), channels_(op.x.desc.dims[1]), threads_(cpu.threads()) {}

    std::size_t workspace_bytes() const override {
        return channel_arrays::bytes<double>(channels_, 2 * threads_) +
               channel_arrays::bytes<float>(channels_, 2 * threads_ + 3);
    }

    void execute(std::byte* workspace) override {
        channel_arrays arrays(workspace, channels_);
        double* const sums = arrays.take<double>(2 * threads_);
        float* const scratch = arrays.take<float>(2 * threads_);
        float* const coefficients = arrays.take<float>(3);
        reduce(sums, scratch);
        finalise(sums, coefficients);
        if (op_.dx.present()) spread(coefficients);
    }

  private:
    [[nodiscard]] const float* saved(std::int64_t row) const {
        return elements<float>(op_.saved) + row * channels_;
    }

    // What the loops read for the piece at p: the raw gradients and the cut, or, once g is stored, g alone.
    [[nodiscard]] incoming_gradient<T> incoming(const piece& p, bool stored) const {
        const auto at = [&](const tensor_view& view) -> const T* {
            return view.present() ? elements<T>(view) + p.first_element : nullptr;
        };
        if (stored) return {at(op_.dresidual), nullptr, nullptr, nullptr, nullptr};
        incoming_gradient<T> gradient{at(op_.dy), at(op_.dy2), nullptr, nullptr, nullptr};
        if (op_.relu && op_.y.present())
            gradient.y = at(op_.y);
        else if (op_.relu) {
            gradient.scale = saved(2) + p.first_channel;
            gradient.shift = saved(3) + p.first_channel;
        }
        return gradient;
    }

    void reduce(double* sums, float* scratch) const {
        for (std::int64_t i = 0; i < 2 * threads_ * channels_; ++i) sums[i] = 0;
        const T* x = elements<T>(op_.x);
        T* g = elements<T>(op_.dresidual);
        for_each_piece(view_, threads_, [&](const piece& p, int thread) {
            float* sum_g = scratch + 2 * thread * channels_;
            float* sum_gx = sum_g + view_.channels;
            kernel_.gradient_sums(incoming(p, false), x + p.first_element,
                                  g == nullptr ? nullptr : g + p.first_element, p.rows, view_.channels,
                                  saved(0) + p.first_channel, sum_g, sum_gx);
            double* mine = sums + 2 * thread * channels_ + p.first_channel;
            for (std::int64_t c = 0; c < view_.channels; ++c) {
                mine[c] += static_cast<double>(sum_g[c]);
                mine[channels_ + c] += static_cast<double>(sum_gx[c]);
            }
        });
        for (int thread = 1; thread < threads_; ++thread)
            for (std::int64_t i = 0; i < 2 * channels_; ++i) sums[i] += sums[2 * thread * channels_ + i];
    }

    void finalise(const double* sums, float* coefficients) const {
        const auto count = static_cast<double>(view_.elements()) / static_cast<double>(channels_);
        for (std::int64_t c = 0; c < channels_; ++c) {
            const auto inverse_deviation = static_cast<double>(saved(1)[c]);
            const double dbeta = sums[c], dgamma = sums[channels_ + c] * inverse_deviation;
            const double slope = static_cast<double>(elements<float>(op_.gamma)[c]) * inverse_deviation;
            elements<float>(op_.dbeta)[c] = static_cast<float>(dbeta);
            elements<float>(op_.dgamma)[c] = static_cast<float>(dgamma);
            coefficients[c] = static_cast<float>(slope);
            coefficients[channels_ + c] = static_cast<float>(slope * inverse_deviation * dgamma / count);
            coefficients[2 * channels_ + c] = static_cast<float>(slope * dbeta / count);
        }
    }

    void spread(const float* coefficients) const {
        const T* x = elements<T>(op_.x);
        T* dx = elements<T>(op_.dx);
        for_each_piece(view_, threads_, [&](const piece& p, int) {
            const float* slope = coefficients + p.first_channel;
            kernel_.gradient_apply(incoming(p, op_.dresidual.present()), x + p.first_element,
                                   dx + p.first_element, p.rows, view_.channels, saved(0) + p.first_channel,
                                   slope, slope + channels_, slope + 2 * channels_);
        });
    }

    batch_norm_backward op_;
    row_view view_;
    std::int64_t channels_;
    int threads_;
    const loops<T>& kernel_ = best_loops<T>();
};

} // namespace

std::unique_ptr<operation> prepare(context& cpu, const batch_norm_forward& op) {
    return make_for<forward>(op.x.desc.type, cpu, op);
}
std::unique_ptr<operation> prepare(context& cpu, const batch_norm_inference& op) {
    return make_for<inference>(op.x.desc.type, cpu, op);
}
std::unique_ptr<operation> prepare(context& cpu, const batch_norm_backward& op) {
    return make_for<backward>(op.x.desc.type, cpu, op);
}
std::unique_ptr<operation> prepare_norm(context& cpu, const tensor_view& x, const tensor_view& saved,
                                        const tensor_view& y) {
    return make_for<application>(x.desc.type, cpu, x, saved, y);
}

} // namespace petnet::kernels::cpu
