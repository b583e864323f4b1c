// SPDX-License-Identifier: Apache-2.0
#include "export/onnx_file.hpp"

#include "base/files.hpp"
#include "base/version.hpp"
#include "export/preprocessing.hpp"
#include "kernels/ops.hpp"

#include <initializer_list>
#include <onnx/onnx_pb.h>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace petnet::exporting {
namespace {

using extents = std::vector<std::int64_t>;

class graph_writer {
  public:
    graph_writer(const exported_model& model, onnx::GraphProto& graph) : model_(model), graph_(graph) {}

    void write(onnx_input input) {
        graph_.set_name("petnet_resnet34");
        std::string image;
        const std::int64_t size = model_.description.size, square = model_.description.photo_size;
        if (input == onnx_input::pixels) {
            declare(graph_.add_input(), "pixels", onnx::TensorProto::UINT8, {square, square, 3});
            image = normalised("pixels");
        } else {
            image = "input";
            declare(graph_.add_input(), image, onnx::TensorProto::FLOAT, {3, size, size});
        }
        head(body(image));
        graph_.mutable_node(graph_.node_size() - 1)->set_output(0, "logits");
        declare(graph_.add_output(), "logits", onnx::TensorProto::FLOAT,
                {static_cast<std::int64_t>(model_.description.classes.size())});
    }

  private:
    // A value of (N, dims...).
    static void declare(onnx::ValueInfoProto* value, const std::string& name, int type,
                        std::initializer_list<std::int64_t> dims) {
        value->set_name(name);
        auto* tensor = value->mutable_type()->mutable_tensor_type();
        tensor->set_elem_type(type);
        tensor->mutable_shape()->add_dim()->set_dim_param("N");
        for (const std::int64_t extent : dims) tensor->mutable_shape()->add_dim()->set_dim_value(extent);
    }

    // A node with one output, which has the node's name.
    onnx::NodeProto* node(const char* type, const std::string& name,
                          std::initializer_list<std::string> inputs) {
        onnx::NodeProto* added = graph_.add_node();
        added->set_op_type(type);
        added->set_name(name);
        for (const std::string& input : inputs) added->add_input(input);
        added->add_output(name);
        return added;
    }
    static void attribute(onnx::NodeProto* node, const char* name, std::int64_t value) {
        onnx::AttributeProto* added = node->add_attribute();
        added->set_name(name);
        added->set_type(onnx::AttributeProto::INT);
        added->set_i(value);
    }
    static void attribute(onnx::NodeProto* node, const char* name, const extents& values) {
        onnx::AttributeProto* added = node->add_attribute();
        added->set_name(name);
        added->set_type(onnx::AttributeProto::INTS);
        for (const std::int64_t value : values) added->add_ints(value);
    }
    static void attribute(onnx::NodeProto* node, const char* name, float value) {
        onnx::AttributeProto* added = node->add_attribute();
        added->set_name(name);
        added->set_type(onnx::AttributeProto::FLOAT);
        added->set_f(value);
    }

    std::string constant(const std::string& name, const extents& dims, std::span<const float> values) {
        onnx::TensorProto* tensor = graph_.add_initializer();
        tensor->set_name(name);
        tensor->set_data_type(onnx::TensorProto::FLOAT);
        for (const std::int64_t extent : dims) tensor->add_dims(extent);
        tensor->set_raw_data(values.data(), values.size_bytes());
        return name;
    }
    // A tensor of the model, under its name.
    std::string weight(const std::string& name) {
        const model::weight_tensor& tensor = model_.find(name);
        const std::vector<float> values = tensor.to_float32();
        return constant(name, tensor.shape, values);
    }

    std::string normalised(const std::string& pixels) {
        const model::model_description& d = model_.description;
        attribute(node("Cast", "pixels.float", {pixels}), "to", std::int64_t{onnx::TensorProto::FLOAT});
        attribute(node("Transpose", "pixels.chw", {"pixels.float"}), "perm", extents{0, 3, 1, 2});
        std::string image = "pixels.chw";
        if (d.photo_size != d.size) { // A p A^T
            const std::vector<float> a = sampling_matrix(d.photo_size, d.size);
            constant("sampling", {d.size, d.photo_size}, a);
            attribute(node("Transpose", "sampling.transposed", {"sampling"}), "perm", extents{1, 0});
            node("MatMul", "pixels.rows", {"sampling", image});
            node("MatMul", "pixels.sampled", {"pixels.rows", "sampling.transposed"});
            image = "pixels.sampled";
        }
        const std::vector<float> whole{255};
        node("Div", "pixels.unit", {image, constant("whole", {}, whole)});
        node("Sub", "pixels.centred", {"pixels.unit", constant("mean", {3, 1, 1}, d.mean)});
        node("Div", "image", {"pixels.centred", constant("std", {3, 1, 1}, d.deviation)});
        return "image";
    }

    std::string batch_norm(const std::string& name, const std::string& x) {
        onnx::NodeProto* added = node("BatchNormalization", name,
                                      {x, weight(name + ".weight"), weight(name + ".bias"),
                                       weight(name + ".running_mean"), weight(name + ".running_var")});
        attribute(added, "epsilon", static_cast<float>(kernels::batch_norm_epsilon));
        return name;
    }

    std::string body(const std::string& image) {
        std::vector<std::string> activations{image}; // as convolution_unit::input counts them
        for (const model::convolution_unit& unit : model_.network.units) {
            onnx::NodeProto* convolution = node(
                "Conv", unit.convolution, {activations[unit.input], weight(unit.convolution + ".weight")});
            attribute(convolution, "kernel_shape", extents(2, unit.kernel));
            attribute(convolution, "strides", extents(2, unit.stride));
            attribute(convolution, "pads", extents(4, unit.padding));
            std::string y = batch_norm(unit.batch_norm, unit.convolution);
            const auto then = [&](const char* type, const char* suffix,
                                  std::initializer_list<std::string> inputs) {
                const std::string name = unit.batch_norm + suffix;
                onnx::NodeProto* added = node(type, name, inputs);
                y = name;
                return added;
            };
            if (unit.residual) then("Add", ".sum", {y, activations[*unit.residual]});
            if (unit.relu) then("Relu", ".relu", {y});
            if (unit.max_pool) {
                onnx::NodeProto* pool = then("MaxPool", ".pool", {y});
                attribute(pool, "kernel_shape", extents{3, 3});
                attribute(pool, "strides", extents{2, 2});
                attribute(pool, "pads", extents{1, 1, 1, 1});
            }
            activations.push_back(y);
        }
        return activations.back();
    }

    // y = x W^T
    std::string linear(const std::string& name, const std::string& x) {
        onnx::NodeProto* added = node("Gemm", name, {x, weight(name + ".weight")});
        attribute(added, "transB", std::int64_t{1});
        return name;
    }

    // Its last node gives the logits.
    void head(const std::string& features) {
        node("GlobalMaxPool", "head.pool.max", {features});
        node("GlobalAveragePool", "head.pool.average", {features});
        attribute(node("Concat", "head.pool", {"head.pool.max", "head.pool.average"}), "axis",
                  std::int64_t{1});
        attribute(node("Flatten", "head.features", {"head.pool"}), "axis", std::int64_t{1});
        node("Relu", "head.relu", {linear("head.fc1", batch_norm("head.bn1", "head.features"))});
        linear("head.fc2", batch_norm("head.bn2", "head.relu"));
    }

    const exported_model& model_;
    onnx::GraphProto& graph_;
};

} // namespace

void write_onnx(const exported_model& model, onnx_input input, const std::filesystem::path& file) {
    onnx::ModelProto proto;
    constexpr std::int64_t ir_version = 8, opset = 17; // those of ONNX 1.12 of June 2022
    proto.set_ir_version(ir_version);
    proto.add_opset_import()->set_version(opset);
    proto.set_producer_name("petnet");
    proto.set_producer_version(version());
    for (const auto& [name, value] : model::metadata_of(model.description)) {
        onnx::StringStringEntryProto* entry = proto.add_metadata_props();
        entry->set_key(name);
        entry->set_value(value);
    }
    graph_writer(model, *proto.mutable_graph()).write(input);
    std::string bytes;
    if (!proto.SerializeToString(&bytes))
        throw std::logic_error("the ONNX model cannot be written as protobuf");
    write_file_atomically(file, bytes);
}

} // namespace petnet::exporting
