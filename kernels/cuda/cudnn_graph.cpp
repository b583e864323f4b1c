// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/cudnn_graph.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/cudnn_library.hpp"

#include <algorithm>
#include <array>
#include <cudnn_frontend.h>
#include <fmt/format.h>
#include <stdexcept>

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr; // declared by the headers: where they look for cuDNN's functions
}

namespace petnet::kernels::cuda {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using tensor = std::shared_ptr<Tensor_attributes>;

// execute() hands over addresses in the order of these.
constexpr std::int64_t a_id = 1, b_id = 2, result_id = 3;

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
        : name_("convolution " + text_of(problem)) {
        graph_.set_io_data_type(type_of(problem.activations))
            .set_intermediate_data_type(fe::DataType_t::FLOAT)
            .set_compute_data_type(fe::DataType_t::FLOAT);
        if (device) graph_.set_device_properties(device);
        add(problem);
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
    void execute(cudnnHandle_t handle, std::int64_t index, std::array<void*, 3> addresses, void* workspace) {
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

    void add(const stored_convolution& problem) {
        const convolution_shape& shape = problem.shape;
        tensor result;
        switch (problem.kind) {
        case convolution_kind::forward:
            result = graph_.conv_fprop(input(a_id, "x", shape.x()), input(b_id, "w", shape.w()),
                                       attributes_of<fe::graph::Conv_fprop_attributes>(shape));
            describe(*result, shape.y());
            break;
        case convolution_kind::backward_data:
            result = graph_.conv_dgrad(input(a_id, "dy", shape.y()), input(b_id, "w", shape.w()),
                                       attributes_of<fe::graph::Conv_dgrad_attributes>(shape));
            describe(*result, shape.x());
            break;
        case convolution_kind::backward_weights: { // cuDNN wants dy first; a is x
            const tensor x = input(a_id, "x", shape.x());
            result = graph_.conv_wgrad(input(b_id, "dy", shape.y()), x,
                                       attributes_of<fe::graph::Conv_wgrad_attributes>(shape));
            describe(*result, shape.w());
            break;
        }
        }
        result->set_output(true).set_uid(result_id).set_data_type(type_of(problem.activations));
    }

    void keep_promises(bool exact_products) {
        using note = fe::NumericalNote_t;
        graph_.deselect_behavior_notes({fe::BehaviorNote_t::RUNTIME_COMPILATION});
        graph_.deselect_numeric_notes(
            {note::NONDETERMINISTIC, note::REDUCED_PRECISION_REDUCTION, note::DOWN_CONVERT_INPUTS, note::FFT,
             note::WINOGRAD, note::WINOGRAD_TILE_4x4, note::WINOGRAD_TILE_6x6, note::WINOGRAD_TILE_13x13});
        if (exact_products) graph_.deselect_numeric_notes({note::TENSOR_CORE});
    }

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
    for (std::int64_t i = 0; i < graph_->count() && found.size() < limit; ++i) {
        const std::optional<cudnn_plan> plan = graph_->build(i);
        if (!plan || plan->workspace_bytes > workspace_bytes) continue;
        if (std::ranges::find(found, plan->name, &cudnn_plan::name) == found.end()) found.push_back(*plan);
    }
    return found;
}

std::optional<cudnn_plan> cudnn_graph::plan(const std::string& name) {
    for (std::int64_t i = 0; i < graph_->count(); ++i)
        if (graph_->name(i) == name)
            if (auto plan = graph_->build(i)) return plan;
    return std::nullopt;
}

void cudnn_graph::execute(const cudnn_handle& cudnn, const cudnn_plan& plan, const std::byte* a,
                          const std::byte* b, std::byte* result, std::byte* workspace) {
    // The interface takes no const; inputs are only read.
    graph_->execute(cudnn.get(), plan.index, {const_cast<std::byte*>(a), const_cast<std::byte*>(b), result},
                    workspace);
}

} // namespace petnet::kernels::cuda
