// SPDX-License-Identifier: Apache-2.0
#include "tests/export/onnx_interpreter.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>

namespace petnet::testing {
namespace {

using value = onnx_value;

std::size_t count(std::int64_t n) { return static_cast<std::size_t>(n); }
std::size_t elements(const std::vector<std::int64_t>& dims) {
    return count(std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies()));
}

class node_inputs {
  public:
    node_inputs(const onnx::NodeProto& node, const std::map<std::string, value>& known)
        : node_(node), known_(known) {}

    const value& operator[](int i) const { return known_.at(node_.input(i)); }

    [[nodiscard]] const onnx::AttributeProto& attribute(const std::string& name) const {
        for (const onnx::AttributeProto& each : node_.attribute())
            if (each.name() == name) return each;
        throw std::runtime_error(node_.op_type() + ": no attribute " + name);
    }
    // Of attributes that are the same for both axes, and for padding on both sides.
    [[nodiscard]] std::int64_t same(const std::string& name) const {
        const auto& values = attribute(name).ints();
        if (std::ranges::adjacent_find(values, std::not_equal_to()) != values.end())
            throw std::runtime_error(node_.op_type() + ": " + name + " that differ");
        return values.Get(0);
    }

  private:
    const onnx::NodeProto& node_;
    const std::map<std::string, value>& known_;
};

// y(n, c, h, w) = `of_window`, called with all x(n, ., h', w') under the kernel, one by one, and then asked.
template <class Window> value slide(const node_inputs& in, std::int64_t channels, Window of_window) {
    const value& x = in[0];
    const std::int64_t k = in.same("kernel_shape"), stride = in.same("strides"), pad = in.same("pads");
    const auto out = [&](std::int64_t extent) { return (extent + 2 * pad - k) / stride + 1; };
    value y{{x.dims[0], channels, out(x.dims[2]), out(x.dims[3])}, {}};
    y.data.reserve(elements(y.dims));
    for (std::int64_t n = 0; n < y.dims[0]; ++n)
        for (std::int64_t c = 0; c < channels; ++c)
            for (std::int64_t h = 0; h < y.dims[2]; ++h)
                for (std::int64_t w = 0; w < y.dims[3]; ++w)
                    y.data.push_back(of_window(n, c, h * stride - pad, w * stride - pad, k));
    return y;
}

value convolution(const node_inputs& in) {
    const value &x = in[0], &weight = in[1];
    const std::int64_t height = x.dims[2], width = x.dims[3], channels = x.dims[1];
    return slide(in, weight.dims[0], [&](auto n, auto c, auto top, auto left, auto k) {
        double sum = 0;
        for (std::int64_t i = 0; i < channels; ++i)
            for (std::int64_t h = std::max<std::int64_t>(0, -top); h < std::min(k, height - top); ++h)
                for (std::int64_t w = std::max<std::int64_t>(0, -left); w < std::min(k, width - left); ++w)
                    sum += static_cast<double>(
                               x.data[count(((n * channels + i) * height + top + h) * width + left + w)]) *
                           static_cast<double>(weight.data[count(((c * channels + i) * k + h) * k + w)]);
        return static_cast<float>(sum);
    });
}

value max_pool(const node_inputs& in) {
    const value& x = in[0];
    const std::int64_t height = x.dims[2], width = x.dims[3], channels = x.dims[1];
    return slide(in, channels, [&](auto n, auto c, auto top, auto left, auto k) {
        float largest = -std::numeric_limits<float>::infinity();
        for (std::int64_t h = std::max<std::int64_t>(0, top); h < std::min(top + k, height); ++h)
            for (std::int64_t w = std::max<std::int64_t>(0, left); w < std::min(left + k, width); ++w)
                largest = std::max(largest, x.data[count(((n * channels + c) * height + h) * width + w)]);
        return largest;
    });
}

value batch_normalization(const node_inputs& in) {
    value y = in[0];
    const double epsilon = static_cast<double>(in.attribute("epsilon").f());
    const std::size_t channels = count(y.dims[1]), area = elements(y.dims) / count(y.dims[0]) / channels;
    for (std::size_t i = 0; i < y.data.size(); ++i) {
        const std::size_t c = i / area % channels;
        const auto of = [&](int input) { return static_cast<double>(in[input].data[c]); };
        const double centred = static_cast<double>(y.data[i]) - of(3);
        y.data[i] = static_cast<float>(centred / std::sqrt(of(4) + epsilon) * of(1) + of(2));
    }
    return y;
}

// The second operand is repeated where it has extents of 1, or fewer dimensions.
template <class Operation> value elementwise(const node_inputs& in, Operation operation) {
    value y = in[0];
    const value& b = in[1];
    for (std::size_t i = 0; i < y.data.size(); ++i) {
        std::size_t rest = i, at = 0, step = 1;
        for (std::size_t d = 0; d < b.dims.size(); ++d) {
            const std::size_t extent = count(y.dims[y.dims.size() - 1 - d]),
                              own = count(b.dims[b.dims.size() - 1 - d]);
            if (own != 1) at += rest % extent * step;
            rest /= extent, step *= own;
        }
        y.data[i] = operation(y.data[i], b.data[at]);
    }
    return y;
}

value relu(value y) {
    for (float& each : y.data) each = std::max(each, 0.0F);
    return y;
}

template <class Summary> value global_pool(const value& x, Summary summary) {
    value y{{x.dims[0], x.dims[1], 1, 1}, {}};
    const auto area = static_cast<std::ptrdiff_t>(x.dims[2] * x.dims[3]);
    for (auto plane = x.data.begin(); plane != x.data.end(); plane += area)
        y.data.push_back(summary(plane, plane + area));
    return y;
}

value concatenated(const node_inputs& in) {
    const value &a = in[0], &b = in[1];
    if (in.attribute("axis").i() != 1) throw std::runtime_error("Concat: along axis 1 only");
    value y{a.dims, {}};
    y.dims[1] += b.dims[1];
    const std::size_t rows = count(a.dims[0]), of_a = a.data.size() / rows, of_b = b.data.size() / rows;
    for (std::size_t n = 0; n < rows; ++n) {
        y.data.insert(y.data.end(), a.data.begin() + std::ptrdiff_t(n * of_a),
                      a.data.begin() + std::ptrdiff_t((n + 1) * of_a));
        y.data.insert(y.data.end(), b.data.begin() + std::ptrdiff_t(n * of_b),
                      b.data.begin() + std::ptrdiff_t((n + 1) * of_b));
    }
    return y;
}

value transposed(const node_inputs& in) {
    const value& x = in[0];
    const auto& order = in.attribute("perm").ints();
    std::vector<std::size_t> strides(x.dims.size(), 1);
    for (std::size_t d = x.dims.size() - 1; d > 0; --d) strides[d - 1] = strides[d] * count(x.dims[d]);
    value y{{}, std::vector<float>(x.data.size())};
    for (const std::int64_t axis : order) y.dims.push_back(x.dims[count(axis)]);
    for (std::size_t i = 0; i < y.data.size(); ++i) {
        std::size_t rest = i, from = 0;
        for (std::size_t d = y.dims.size(); d-- > 0; rest /= count(y.dims[d]))
            from += rest % count(y.dims[d]) * strides[count(order.Get(static_cast<int>(d)))];
        y.data[i] = x.data[from];
    }
    return y;
}

// Of the last two axes; the others are those of the operand that has them.
value product(const value& a, const value& b, bool b_is_transposed) {
    const std::int64_t rows = a.dims[a.dims.size() - 2], inner = a.dims.back(),
                       columns = b_is_transposed ? b.dims[0] : b.dims.back();
    value y{a.dims.size() > b.dims.size() ? a.dims : b.dims, {}};
    if (b_is_transposed) y.dims = a.dims;
    y.dims[y.dims.size() - 2] = rows, y.dims.back() = columns;
    const std::int64_t matrices = static_cast<std::int64_t>(elements(y.dims)) / rows / columns;
    const bool a_repeats = static_cast<std::int64_t>(a.data.size()) == rows * inner,
               b_repeats = static_cast<std::int64_t>(b.data.size()) == inner * columns;
    for (std::int64_t m = 0; m < matrices; ++m)
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < columns; ++c) {
                double sum = 0;
                for (std::int64_t i = 0; i < inner; ++i)
                    sum += static_cast<double>(
                               a.data[count((a_repeats ? 0 : m * rows * inner) + r * inner + i)]) *
                           static_cast<double>(
                               b.data[count((b_repeats ? 0 : m * inner * columns) +
                                            (b_is_transposed ? c * inner + i : i * columns + c))]);
                y.data.push_back(static_cast<float>(sum));
            }
    return y;
}

value computed(const std::string& type, const node_inputs& in) {
    const auto mean = [](auto from, auto to) {
        return static_cast<float>(std::accumulate(from, to, 0.0) / static_cast<double>(to - from));
    };
    if (type == "Cast") return in[0]; // from bytes, which are floats here already
    if (type == "Transpose") return transposed(in);
    if (type == "MatMul") return product(in[0], in[1], false);
    if (type == "Gemm") return product(in[0], in[1], in.attribute("transB").i() == 1);
    if (type == "Conv") return convolution(in);
    if (type == "BatchNormalization") return batch_normalization(in);
    if (type == "Relu") return relu(in[0]);
    if (type == "MaxPool") return max_pool(in);
    if (type == "Add") return elementwise(in, std::plus());
    if (type == "Sub") return elementwise(in, std::minus());
    if (type == "Div") return elementwise(in, std::divides());
    if (type == "GlobalMaxPool")
        return global_pool(in[0], [](auto from, auto to) { return *std::max_element(from, to); });
    if (type == "GlobalAveragePool") return global_pool(in[0], mean);
    if (type == "Concat") return concatenated(in);
    if (type == "Flatten")
        return {{in[0].dims[0], static_cast<std::int64_t>(in[0].data.size()) / in[0].dims[0]}, in[0].data};
    throw std::runtime_error("no such operator here: " + type);
}

} // namespace

onnx_value run_onnx(const onnx::GraphProto& graph, onnx_value input) {
    std::map<std::string, value> known{{graph.input(0).name(), std::move(input)}};
    for (const onnx::TensorProto& tensor : graph.initializer()) {
        value constant{{tensor.dims().begin(), tensor.dims().end()}, {}};
        constant.data.resize(elements(constant.dims));
        if (tensor.raw_data().size() != constant.data.size() * sizeof(float))
            throw std::runtime_error(tensor.name() + " is of another size");
        std::memcpy(constant.data.data(), tensor.raw_data().data(), tensor.raw_data().size());
        known.emplace(tensor.name(), std::move(constant));
    }
    for (const onnx::NodeProto& node : graph.node())
        known[node.output(0)] = computed(node.op_type(), node_inputs(node, known));
    return known.at(graph.output(0).name());
}

} // namespace petnet::testing
