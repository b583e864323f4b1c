// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/cudnn_graph.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/cudnn_library.hpp"
#include "kernels/cuda/layout.hpp"

#include <algorithm>
#include <array>
#include <cudnn_frontend.h>
#include <fmt/format.h>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr; // declared by the headers: where they look for cuDNN's functions
}

namespace petnet::kernels::cuda {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using tensor = std::shared_ptr<Tensor_attributes>;

// execute() hands over addresses in the order of these. Sums have one for each of their rows.
enum id : std::int64_t {
    a_id = 1,
    b_id,
    result_id,
    normalised_id,
    mean_id,
    deviation_id,
    gamma_id,
    beta_id,
    scale_id,
    shift_id,
    sums_id
};

// In the order of their ids. The interface takes no const; inputs are only read.
std::vector<void*> addresses_of(const stored_convolution& problem, const convolution_operands& on) {
    const auto input = [](const auto* address) -> void* {
        return const_cast<std::remove_const_t<std::remove_pointer_t<decltype(address)>>*>(address);
    };
    std::vector<void*> addresses{input(on.a), input(on.b), on.result};
    if (problem.kind == convolution_kind::backward_data_and_sums)
        addresses.insert(addresses.end(), {input(on.normalised), input(on.mean), input(on.inverse_deviation),
                                           input(on.gamma), input(on.beta)});
    if (problem.through_norm) {
        const auto vector =
            static_cast<std::size_t>(problem.shape.in_channels) * element_bytes(problem.activations);
        addresses.insert(addresses.end(), {input(on.scale_and_shift), input(on.scale_and_shift + vector)});
    }
    const std::int64_t channels = problem.kind == convolution_kind::forward_and_sums
                                      ? problem.shape.out_channels
                                      : problem.shape.in_channels;
    for (int row = 0; row < rows_of_sums(problem.kind); ++row) addresses.push_back(on.sums + row * channels);
    return addresses;
}

[[noreturn]] void fail(const std::string& doing, std::string reason) {
    while (!reason.empty() && (reason.back() == '\n' || reason.back() == ' ')) reason.pop_back();
    std::ranges::replace(reason, '\n', ' ');
    throw environment_error(
        fmt::format("cuDNN: {} failed: {}", doing, reason.empty() ? "no reason given" : reason));
}

// The headers report some failures by exception.
template <class Call> void attempt(const std::string& doing, const Call& call) {
    std::string reason;
    try {
        fe::error_t status = call();
        if (status.is_good()) return;
        reason = status.get_message();
    } catch (const std::exception& e) {
        reason = e.what();
    }
    fail(doing, reason);
}

void check(cudnnStatus_t status, const char* doing) {
    if (status != CUDNN_STATUS_SUCCESS) fail(doing, fe::detail::get_error_string(status));
}

void use_library() { fe::cudnn_dlhandle = load_cudnn().handle; }

fe::DataType_t type_of(dtype type) {
    switch (type) {
    case dtype::f32:
        return fe::DataType_t::FLOAT;
    case dtype::bf16:
        return fe::DataType_t::BFLOAT16;
    case dtype::f16:
        return fe::DataType_t::HALF;
    default:
        throw std::logic_error(std::string("cuDNN convolves no ") + name_of(type));
    }
}

// Channels last, of any rank-4 shape: NHWC activations and KRSC weights alike.
Tensor_attributes& describe(Tensor_attributes& described, const shape& dims) {
    return described.set_dim({dims[0], dims[1], dims[2], dims[3]})
        .set_stride({dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1]});
}

template <class Attributes> Attributes attributes_of(const convolution_shape& shape) {
    return Attributes()
        .set_padding({shape.padding, shape.padding})
        .set_stride({shape.stride, shape.stride})
        .set_dilation({1, 1});
}

} // namespace

std::string cudnn_frontend_version() {
    return fmt::format("{}.{}.{}", CUDNN_FRONTEND_MAJOR_VERSION, CUDNN_FRONTEND_MINOR_VERSION,
                       CUDNN_FRONTEND_PATCH_VERSION);
}

cudnn_handle::cudnn_handle() {
    use_library();
    check(fe::detail::create_handle(&handle_), "starting");
}
cudnn_handle::~cudnn_handle() {
    try {
        static_cast<void>(fe::detail::destroy_handle(handle_));
    } catch (const std::exception&) { // a library without that function: there is nothing to give back
    }
}

void cudnn_handle::set_stream(cudaStream_t stream) {
    if (stream_ == stream) return;
    check(fe::detail::set_stream(handle_, stream), "choosing a stream");
    stream_ = stream;
}

class cudnn_graph::implementation {
  public:
    implementation(const stored_convolution& problem, bool tf32, cudnnHandle_t handle,
                   const std::shared_ptr<const fe::DeviceProperties>& device)
        : problem_(problem), name_("convolution " + text_of(problem)) {
        graph_.set_io_data_type(type_of(problem.activations))
            .set_intermediate_data_type(fe::DataType_t::FLOAT)
            .set_compute_data_type(fe::DataType_t::FLOAT);
        if (device) graph_.set_device_properties(device);
        add();
        attempt("describing " + name_, [&] { return graph_.validate(); });
        attempt("preparing " + name_, [&] { return graph_.build_operation_graph(handle); });
        // Both at once: the headers (1.23) mix up the notes of plans that are asked for in two calls.
        attempt("looking for plans of " + name_, [&] {
            return graph_.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
        });
        keep_promises(problem.activations == dtype::f32 && !tf32);
    }

    [[nodiscard]] std::int64_t count() const { return graph_.get_execution_plan_count(); }
    [[nodiscard]] std::string name(std::int64_t index) const {
        std::string name;
        attempt("naming a plan of " + name_, [&] { return graph_.get_plan_name_at_index(index, name); });
        return name;
    }
    // Absent where the plan may not be used, or cuDNN cannot build it after all.
    [[nodiscard]] std::optional<cudnn_plan> build(std::int64_t index) {
        try {
            if (graph_.build_plan_at_index(index).is_bad()) return std::nullopt;
        } catch (const std::exception&) {
            return std::nullopt;
        }
        std::int64_t bytes = 0;
        attempt("asking for the workspace of " + name_,
                [&] { return graph_.get_workspace_size_plan_at_index(index, bytes); });
        return cudnn_plan{index, name(index), static_cast<std::size_t>(bytes)};
    }
    void execute(cudnnHandle_t handle, std::int64_t index, const convolution_operands& on, void* workspace) {
        std::vector<void*> addresses = addresses_of(problem_, on);
        attempt("executing " + name_, [&] {
            return graph_.execute_plan_at_index(handle, addresses.data(), static_cast<int>(addresses.size()),
                                                workspace, index);
        });
    }

  private:
    [[nodiscard]] tensor input(std::int64_t id, const char* name, const shape& dims) {
        Tensor_attributes attributes;
        return graph_.tensor(describe(attributes.set_name(name).set_uid(id), dims));
    }
    [[nodiscard]] tensor vector_input(std::int64_t id, const char* name, std::int64_t channels) {
        tensor vector = input(id, name, {1, channels, 1, 1});
        vector->set_data_type(fe::DataType_t::FLOAT);
        return vector;
    }
    void output(const tensor& result, std::int64_t id, fe::DataType_t type) {
        result->set_output(true).set_uid(id).set_data_type(type);
    }
    template <std::size_t Count> void output_sums(const std::array<tensor, Count>& rows) {
        for (std::size_t i = 0; i < Count; ++i)
            output(rows[i], sums_id + static_cast<std::int64_t>(i), fe::DataType_t::FLOAT);
    }

    [[nodiscard]] tensor apply(fe::PointwiseMode_t how, const tensor& a, const tensor& b) {
        return graph_.pointwise(a, b, fe::graph::Pointwise_attributes().set_mode(how));
    }

    // What is convolved.
    [[nodiscard]] tensor convolved_x() {
        using mode = fe::PointwiseMode_t;
        const convolution_shape& shape = problem_.shape;
        tensor x = input(a_id, "x", shape.x());
        if (!problem_.through_norm) return x;
        const kernels::shape vector{1, shape.in_channels, 1, 1};
        const tensor scale = input(scale_id, "scale", vector), shift = input(shift_id, "shift", vector);
        return graph_.pointwise(apply(mode::ADD, apply(mode::MUL, x, scale), shift),
                                fe::graph::Pointwise_attributes().set_mode(mode::RELU_FWD));
    }

    [[nodiscard]] tensor forward() {
        const convolution_shape& shape = problem_.shape;
        tensor y = graph_.conv_fprop(convolved_x(), input(b_id, "w", shape.w()),
                                     attributes_of<fe::graph::Conv_fprop_attributes>(shape));
        describe(*y, shape.y());
        return y;
    }
    [[nodiscard]] tensor backward_data() {
        const convolution_shape& shape = problem_.shape;
        tensor dx = graph_.conv_dgrad(input(a_id, "dy", shape.y()), input(b_id, "w", shape.w()),
                                      attributes_of<fe::graph::Conv_dgrad_attributes>(shape));
        describe(*dx, shape.x());
        return dx;
    }
    [[nodiscard]] tensor backward_weights() { // cuDNN wants dy first; a is x
        const convolution_shape& shape = problem_.shape;
        const tensor x = convolved_x();
        tensor dw = graph_.conv_wgrad(input(b_id, "dy", shape.y()), x,
                                      attributes_of<fe::graph::Conv_wgrad_attributes>(shape));
        describe(*dw, shape.w());
        return dw;
    }
    // The graph that cuDNN knows: dx, cut where ((x - mean) * inverse deviation * gamma + beta) was, and the
    // sums. It knows none of this from fewer operations, such as a multiplication and an addition.
    [[nodiscard]] tensor backward_data_and_sums() {
        using mode = fe::PointwiseMode_t;
        const std::int64_t channels = problem_.shape.in_channels;
        const tensor dx = backward_data();
        const tensor x = input(normalised_id, "x", problem_.shape.x());
        const tensor mean = vector_input(mean_id, "mean", channels),
                     inverse_deviation = vector_input(deviation_id, "inverse_deviation", channels),
                     gamma = vector_input(gamma_id, "gamma", channels),
                     beta = vector_input(beta_id, "beta", channels);
        const tensor xhat = apply(mode::MUL, apply(mode::SUB, x, mean), inverse_deviation);
        tensor g = apply(mode::RELU_BWD, dx, apply(mode::ADD, apply(mode::MUL, xhat, gamma), beta));
        const auto [dgamma, dbeta, of_dy, of_x, offset] =
            graph_.dbn_weight(g, x, mean, inverse_deviation, gamma, fe::graph::DBN_weight_attributes());
        output_sums(std::array{dbeta, dgamma, of_dy, of_x, offset});
        return g;
    }

    void add() {
        tensor result;
        switch (problem_.kind) {
        case convolution_kind::forward:
            result = forward();
            break;
        case convolution_kind::backward_data:
            result = backward_data();
            break;
        case convolution_kind::backward_weights:
            result = backward_weights();
            break;
        case convolution_kind::forward_and_sums:
            result = forward();
            output_sums(graph_.genstats(result, fe::graph::Genstats_attributes()));
            break;
        case convolution_kind::backward_data_and_sums:
            result = backward_data_and_sums();
            break;
        }
        output(result, result_id, type_of(problem_.activations));
    }

    void keep_promises(bool exact_products) {
        using note = fe::NumericalNote_t;
        graph_.deselect_behavior_notes({fe::BehaviorNote_t::RUNTIME_COMPILATION});
        graph_.deselect_numeric_notes(
            {note::NONDETERMINISTIC, note::REDUCED_PRECISION_REDUCTION, note::DOWN_CONVERT_INPUTS, note::FFT,
             note::WINOGRAD, note::WINOGRAD_TILE_4x4, note::WINOGRAD_TILE_6x6, note::WINOGRAD_TILE_13x13});
        if (exact_products) graph_.deselect_numeric_notes({note::TENSOR_CORE});
    }

    stored_convolution problem_;
    std::string name_;
    fe::graph::Graph graph_;
};

cudnn_graph::cudnn_graph(const cudnn_handle& cudnn, const stored_convolution& problem, bool tf32)
    : graph_(std::make_unique<implementation>(problem, tf32, cudnn.get(), nullptr)) {}

cudnn_graph::cudnn_graph(std::string_view device, const stored_convolution& problem, bool tf32) {
    use_library();
    const auto properties = std::make_shared<fe::DeviceProperties>();
    attempt("reading a device's description",
            [&] { return properties->deserialize(std::vector<std::uint8_t>(device.begin(), device.end())); });
    graph_ = std::make_unique<implementation>(problem, tf32, nullptr, properties);
}

cudnn_graph::~cudnn_graph() = default;

std::vector<cudnn_plan> cudnn_graph::plans(std::size_t limit, std::size_t workspace_bytes) {
    std::vector<cudnn_plan> found;
    std::optional<cudnn_plan> smallest;
    for (std::int64_t i = 0; i < graph_->count() && found.size() < limit; ++i) {
        const std::optional<cudnn_plan> plan = graph_->build(i);
        if (!plan) continue;
        if (!smallest || plan->workspace_bytes < smallest->workspace_bytes) smallest = plan;
        if (plan->workspace_bytes > workspace_bytes) continue;
        if (std::ranges::find(found, plan->name, &cudnn_plan::name) == found.end()) found.push_back(*plan);
    }
    if (found.empty() && smallest) found.push_back(*smallest);
    return found;
}

std::optional<cudnn_plan> cudnn_graph::plan(const std::string& name) {
    for (std::int64_t i = 0; i < graph_->count(); ++i)
        if (graph_->name(i) == name)
            if (auto plan = graph_->build(i)) return plan;
    return std::nullopt;
}

void cudnn_graph::execute(const cudnn_handle& cudnn, const cudnn_plan& plan, const convolution_operands& on,
                          std::byte* workspace) {
    graph_->execute(cudnn.get(), plan.index, on, workspace);
}

} // namespace petnet::kernels::cuda
