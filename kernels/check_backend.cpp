// SPDX-License-Identifier: Apache-2.0
// Memory, layouts as seen from outside, and results are the trusted backend's. For each tensor it sees, the
// judged backend has one of its own, found by address and descriptor (a memory plan gives one address to many
// tensors). Before an operation its inputs are copied over from the trusted side, so a departure is the work
// of that operation alone.
//
// Compared after each operation: every tensor it has written.
//   * Floating point: largest |judged - trusted| in units of the tensor's largest |trusted|. The limits leave
//     room for sums in another order, none for a wrong term: 1e-4 for f32, four roundings for 16 bits (2^-6
//     for bf16, 2^-9 for f16), also of a gradient of convolution weights, which may be rounded like its
//     inputs.
//   * Where an operation takes a decision from values that it rounds itself, two right answers may differ
//     entirely: the ReLU cut that batch_norm_backward recomputes, and which of two equal values is a maximum
//     or a prediction. There one element and one in a thousand may be beyond the limit. Everywhere else
//     masks and indices come from tensors that both sides share.
//   * The argmax of max_pool_forward has no row-major form: each side goes on with its own, and a wrong one
//     shows in max_pool_backward.
#include "kernels/check_backend.hpp"

#include "kernels/tolerance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace petnet::kernels {
namespace {

// Ten times what ResNet-34's largest sums show (docs/numerics.md).
constexpr double limit_of(dtype type) {
    return type == dtype::bf16 ? 0x1p-6 : type == dtype::f16 ? 0x1p-9 : 1e-4;
}

// "[1, 0, 3]": where element `index` of the row-major order lies.
std::string place_of(const shape& dims, std::int64_t index) {
    std::string text;
    for (std::size_t axis = dims.rank(); axis-- > 0; index /= dims[axis])
        text = std::to_string(index % dims[axis]) + (text.empty() ? "" : ", ") + text;
    return "[" + text + "]";
}

struct pair_of_backends {
    std::unique_ptr<backend> trusted, judged;
    std::function<void(const std::string&)> on_departure;
};

// A tensor in both backends, with room on the host for the values of each: execution allocates nothing.
class mirrored_tensor {
  public:
    mirrored_tensor(std::string_view name, access kind, const tensor_view& trusted, const tensor_view& judged,
                    double limit)
        : name_(name), kind_(kind), trusted_(trusted), judged_(judged), limit_(limit) {
        const auto count = static_cast<std::size_t>(trusted.desc.dims.elements());
        if (is_floating(trusted.desc.type)) {
            values_.resize(count);
            judged_values_.resize(count);
        } else {
            bytes_.resize(count * (trusted.desc.type == dtype::u64   ? 8
                                   : trusted.desc.type == dtype::i32 ? 4
                                                                     : 1));
            judged_bytes_.resize(bytes_.size());
        }
    }

    void mirror(const pair_of_backends& backends) {
        if (kind_ == access::write) return;
        if (is_floating(trusted_.desc.type)) {
            backends.trusted->read(trusted_, std::span(values_));
            backends.judged->write(judged_, std::span<const double>(values_));
        } else if (readable()) {
            backends.trusted->read_bytes(trusted_, bytes_);
            backends.judged->write_bytes(judged_, bytes_);
        }
    }

    void compare(const pair_of_backends& backends, std::string_view operation, bool decides) {
        if (kind_ == access::read) return;
        if (is_floating(trusted_.desc.type)) {
            backends.trusted->read(trusted_, std::span(values_));
            backends.judged->read(judged_, std::span(judged_values_));
            compare_values(backends, operation, decides ? tolerated() : 0);
        } else if (readable()) {
            backends.trusted->read_bytes(trusted_, bytes_);
            backends.judged->read_bytes(judged_, judged_bytes_);
            compare_bytes(backends, operation);
        }
    }

  private:
    [[nodiscard]] bool readable() const { return trusted_.desc.layout == 0 && judged_.desc.layout == 0; }
    [[nodiscard]] std::int64_t tolerated() const { return 1 + trusted_.desc.dims.elements() / 1000; }

    void compare_values(const pair_of_backends& backends, std::string_view operation, std::int64_t outliers) {
        double scale = 0;
        for (const double value : values_)
            if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
        double largest = 0;
        std::size_t where = 0;
        std::int64_t beyond = 0;
        for (std::size_t i = 0; i < values_.size(); ++i) {
            const double trusted = values_[i], judged = judged_values_[i];
            if (trusted == judged || (std::isnan(trusted) && std::isnan(judged))) continue;
            double difference = std::abs(judged - trusted) / scale;
            if (std::isnan(difference)) difference = HUGE_VAL;
            if (difference > limit_) ++beyond;
            if (difference > largest) largest = difference, where = i;
        }
        if (beyond <= outliers || !backends.on_departure) return;
        backends.on_departure(
            fmt::format("{}: {} of {} departs from {} by {:.2g} of its largest value at {} ({:.9g}, not "
                        "{:.9g}); {} of {} "
                        "elements are beyond {:.2g}",
                        operation, name_, backends.judged->name(), backends.trusted->name(), largest,
                        place_of(trusted_.desc.dims, static_cast<std::int64_t>(where)), judged_values_[where],
                        values_[where], beyond, values_.size(), limit_));
    }

    void compare_bytes(const pair_of_backends& backends, std::string_view operation) {
        const std::size_t size = bytes_.size() / static_cast<std::size_t>(trusted_.desc.dims.elements());
        std::int64_t differing = 0, where = 0;
        for (std::size_t i = bytes_.size(); i > 0; i -= size)
            if (std::memcmp(&bytes_[i - size], &judged_bytes_[i - size], size) != 0)
                ++differing, where = static_cast<std::int64_t>((i - size) / size);
        if (differing <= tolerated() || !backends.on_departure) return;
        backends.on_departure(fmt::format("{}: {} of {} departs from {} in {} of {} elements, first at {}",
                                          operation, name_, backends.judged->name(), backends.trusted->name(),
                                          differing, bytes_.size() / size,
                                          place_of(trusted_.desc.dims, where)));
    }

    std::string_view name_;
    access kind_;
    tensor_view trusted_, judged_;
    double limit_;
    std::vector<double> values_, judged_values_;
    std::vector<std::byte> bytes_, judged_bytes_;
};

class checked_operation final : public operation {
  public:
    checked_operation(const pair_of_backends& backends, std::string_view name, bool decides,
                      std::unique_ptr<operation> trusted, std::unique_ptr<operation> judged,
                      std::vector<mirrored_tensor> tensors)
        : backends_(backends),
          name_(name),
          decides_(decides),
          trusted_(std::move(trusted)),
          judged_(std::move(judged)),
          tensors_(std::move(tensors)),
          judged_workspace_(backends.judged->allocate(judged_->workspace_bytes())) {}

    [[nodiscard]] std::size_t workspace_bytes() const override { return trusted_->workspace_bytes(); }
    void execute(std::byte* workspace) override {
        for (mirrored_tensor& tensor : tensors_) tensor.mirror(backends_);
        trusted_->execute(workspace);
        judged_->execute(judged_workspace_.get());
        for (mirrored_tensor& tensor : tensors_) tensor.compare(backends_, name_, decides_);
    }

  private:
    const pair_of_backends& backends_;
    std::string_view name_;
    bool decides_;
    std::unique_ptr<operation> trusted_, judged_;
    std::vector<mirrored_tensor> tensors_;
    device_memory judged_workspace_;
};

class check_backend final : public backend {
  public:
    explicit check_backend(pair_of_backends backends) : backends_(std::move(backends)) {}

    [[nodiscard]] std::string name() const override {
        return "check:" + backends_.trusted->name() + "," + backends_.judged->name();
    }
    [[nodiscard]] std::string device() const override {
        return backends_.trusted->device() + ", judging " + backends_.judged->device();
    }
    [[nodiscard]] bool supports(dtype activations) const override {
        return backends_.trusted->supports(activations) && backends_.judged->supports(activations);
    }
    [[nodiscard]] dtype fastest() const override {
        const dtype type = backends_.trusted->fastest();
        return supports(type) ? type : dtype::f32;
    }

    [[nodiscard]] tensor_desc activation(dtype type, const shape& dims) const override {
        return with_layout_of_both(backends_.trusted->activation(type, dims),
                                   backends_.judged->activation(type, dims));
    }
    [[nodiscard]] tensor_desc convolution_weights(const convolution_shape& shape,
                                                  dtype activations) const override {
        return with_layout_of_both(backends_.trusted->convolution_weights(shape, activations),
                                   backends_.judged->convolution_weights(shape, activations));
    }

    [[nodiscard]] std::size_t storage_bytes(const tensor_desc& desc) const override {
        return backends_.trusted->storage_bytes(trusted_desc(desc));
    }
    [[nodiscard]] device_memory allocate(std::size_t bytes) override {
        return backends_.trusted->allocate(bytes);
    }

    void write(const tensor_view& to, std::span<const float> values) override {
        backends_.trusted->write(trusted_view(to), values);
    }
    void write(const tensor_view& to, std::span<const double> values) override {
        backends_.trusted->write(trusted_view(to), values);
    }
    void read(const tensor_view& from, std::span<float> values) override {
        backends_.trusted->read(trusted_view(from), values);
    }
    void read(const tensor_view& from, std::span<double> values) override {
        backends_.trusted->read(trusted_view(from), values);
    }
    void write_bytes(const tensor_view& to, std::span<const std::byte> bytes) override {
        backends_.trusted->write_bytes(trusted_view(to), bytes);
    }
    void read_bytes(const tensor_view& from, std::span<std::byte> bytes) override {
        backends_.trusted->read_bytes(trusted_view(from), bytes);
    }
    void clear(const tensor_view& view) override { backends_.trusted->clear(trusted_view(view)); }

    [[nodiscard]] std::unique_ptr<operation> prepare(const operation_params& op) override {
        check_contract(op);
        operation_params trusted = op, judged = op;
        for_each_operand(trusted,
                         [&](std::string_view, tensor_view& view, access) { view = trusted_view(view); });
        for_each_operand(judged,
                         [&](std::string_view, tensor_view& view, access) { view = judged_view(view); });
        std::vector<mirrored_tensor> tensors;
        for_each_operand(op, [&](std::string_view name, const tensor_view& view, access kind) {
            tensors.emplace_back(name, kind, trusted_view(view), judged_view(view),
                                 limit_of(rounded_to(op, view.desc.type)));
        });
        return std::make_unique<checked_operation>(backends_, name_of(op), decides(op),
                                                   backends_.trusted->prepare(trusted),
                                                   backends_.judged->prepare(judged), std::move(tensors));
    }

  private:
    struct judged_tensor {
        const std::byte* address;
        tensor_desc desc;
        device_memory memory;
    };

    // The layout `i` of this backend is layouts_[i]; row-major is row-major in both, and first.
    [[nodiscard]] tensor_desc with_layout_of_both(tensor_desc trusted, const tensor_desc& judged) const {
        const std::pair both{trusted.layout, judged.layout};
        const auto found = std::ranges::find(layouts_, both);
        trusted.layout = static_cast<std::uint32_t>(found - layouts_.begin());
        if (found == layouts_.end()) layouts_.push_back(both);
        return trusted;
    }
    [[nodiscard]] tensor_desc trusted_desc(tensor_desc desc) const {
        desc.layout = layouts_.at(desc.layout).first;
        return desc;
    }
    [[nodiscard]] tensor_view trusted_view(tensor_view view) const {
        view.desc = trusted_desc(view.desc);
        return view;
    }
    [[nodiscard]] tensor_view judged_view(tensor_view view) {
        auto found = std::ranges::find_if(judged_tensors_, [&](const judged_tensor& tensor) {
            return tensor.address == view.data && tensor.desc == view.desc;
        });
        tensor_desc desc = view.desc;
        desc.layout = layouts_.at(desc.layout).second;
        if (found == judged_tensors_.end()) {
            device_memory memory = backends_.judged->allocate(backends_.judged->storage_bytes(desc));
            judged_tensors_.push_back({view.data, view.desc, std::move(memory)});
            found = judged_tensors_.end() - 1;
            backends_.judged->clear({desc, found->memory.get()});
        }
        return {desc, found->memory.get()};
    }

    pair_of_backends backends_;
    mutable std::vector<std::pair<std::uint32_t, std::uint32_t>> layouts_{{0, 0}};
    std::vector<judged_tensor> judged_tensors_;
};

} // namespace

std::unique_ptr<backend> make_check_backend(std::unique_ptr<backend> trusted, std::unique_ptr<backend> judged,
                                            std::function<void(const std::string&)> on_departure) {
    return std::make_unique<check_backend>(
        pair_of_backends{std::move(trusted), std::move(judged), std::move(on_departure)});
}

} // namespace petnet::kernels
