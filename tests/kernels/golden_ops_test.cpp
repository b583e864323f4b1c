// SPDX-License-Identifier: Apache-2.0
// PyTorch's answers, operation by operation. Which operations there are, and their sizes, is read from the
// file.
#include "model/weights/weight_file.hpp"
#include "tests/kernels/backends.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/test_tensors.hpp"

#include <gtest/gtest.h>

#include <set>

namespace petnet::testing {
namespace {

constexpr double limit = 1e-5; // of the tensor's largest value; golden/README.md

class golden_ops_test : public ::testing::TestWithParam<std::string> {
  protected:
    [[nodiscard]] bool has(const std::string& name) const { return file_.find(name) != nullptr; }
    [[nodiscard]] std::vector<double> values(const std::string& name) const {
        const model::weight_tensor* tensor = file_.find(name);
        if (tensor == nullptr) throw std::runtime_error("ops.safetensors has no " + name);
        return tensor->to_float64();
    }
    [[nodiscard]] shape dims(const std::string& name) const {
        const std::vector<std::int64_t>& e = file_.find(name)->shape;
        switch (e.size()) {
        case 1:
            return {e[0]};
        case 2:
            return {e[0], e[1]};
        case 4:
            return {e[0], e[1], e[2], e[3]};
        default:
            return {};
        }
    }
    [[nodiscard]] std::size_t rank(const std::string& name) const {
        return has(name) ? file_.find(name)->shape.size() : 0;
    }
    // "conv3x3s1" and so on, of which `is_one(name)`. There is at least one.
    template <class Predicate>
    [[nodiscard]] std::vector<std::string> operations(const Predicate& is_one) const {
        std::set<std::string> names;
        for (const model::weight_tensor& tensor : file_.tensors) {
            const std::string name = tensor.name.substr(0, tensor.name.find('.'));
            if (is_one(name)) names.insert(name);
        }
        EXPECT_FALSE(names.empty()) << "the file has no such operation";
        return {names.begin(), names.end()};
    }

    tensor_view input(const std::string& name) { return tensors_.input(dims(name), values(name)); }
    tensor_view output_like(const std::string& name) { return tensors_.output(dims(name)); }
    // int64 in the file
    tensor_view targets(const std::string& name) {
        const std::vector<double> wide = values(name);
        return tensors_.integers(dtype::i32, dims(name), std::vector<std::int32_t>(wide.begin(), wide.end()));
    }
    void expect(const tensor_view& actual, const std::string& name) {
        EXPECT_TRUE(close_to(tensors_.values(actual), values(name), limit)) << name;
    }

    model::weight_file file_ = model::read_weight_file(golden_dir() / "ops.safetensors");
    std::unique_ptr<backend> backend_ = make_backend(GetParam());
    test_tensors tensors_{*backend_, dtype::f32, dtype::f32};
};

// Stride and padding that lead from x to y; "same" padding first.
convolution_shape deduce(const shape& x, const shape& w, const shape& y) {
    for (std::int64_t stride = 1; stride <= 4; ++stride)
        for (std::int64_t tried = -1; tried < w[2]; ++tried) {
            const std::int64_t padding = tried < 0 ? (w[2] - 1) / 2 : tried;
            const convolution_shape shape{x[0], x[1], x[2], x[3], w[0], w[2], stride, padding};
            if (shape.y() == y) return shape;
        }
    throw std::runtime_error("no convolution leads from " + x.text() + " to " + y.text());
}

TEST_P(golden_ops_test, convolution) {
    for (const std::string& op :
         operations([&](const std::string& name) { return rank(name + ".w") == 4; })) {
        SCOPED_TRACE(op);
        const convolution_shape shape = deduce(dims(op + ".x"), dims(op + ".w"), dims(op + ".y"));
        const tensor_view x = input(op + ".x"), dy = input(op + ".dy");
        const tensor_view w = tensors_.weights(shape, values(op + ".w"));
        const tensor_view y = output_like(op + ".y"), dx = output_like(op + ".x");
        const tensor_view dw = tensors_.weights_output(shape);
        tensors_.run(convolution_forward{shape, x, w, y});
        tensors_.run(convolution_backward_data{shape, dy, w, dx});
        tensors_.run(convolution_backward_weights{shape, x, dy, dw});
        expect(y, op + ".y");
        expect(dx, op + ".dx");
        expect(dw, op + ".dw");
    }
}

TEST_P(golden_ops_test, batch_norm) {
    for (const std::string& op : operations([&](const std::string& name) { return has(name + ".gamma"); })) {
        SCOPED_TRACE(op);
        const bool relu = op.find("relu") != std::string::npos, adds = has(op + ".z");
        const std::int64_t channels = dims(op + ".gamma")[0];
        const tensor_view x = input(op + ".x"), gamma = input(op + ".gamma"), beta = input(op + ".beta");
        const tensor_view mean = input(op + ".running_mean"), variance = input(op + ".running_var");
        const tensor_view z = adds ? input(op + ".z") : tensor_view{};
        const tensor_view y = output_like(op + ".x"), saved = tensors_.output({4, channels});

        tensors_.run(batch_norm_inference{x, gamma, beta, mean, variance, z, y, {}, relu});
        expect(y, op + ".y_eval");
        tensors_.run(batch_norm_forward{x, gamma, beta, mean, variance, z, y, saved, relu});
        expect(y, op + ".y");
        expect(mean, op + ".running_mean_after");
        expect(variance, op + ".running_var_after");

        const tensor_view dy = input(op + ".dy"), dx = output_like(op + ".x");
        const tensor_view dgamma = tensors_.output({channels}), dbeta = tensors_.output({channels});
        const tensor_view dz = adds ? output_like(op + ".x") : tensor_view{};
        tensors_.run(batch_norm_backward{dy, {}, x, y, gamma, saved, dx, dgamma, dbeta, dz, relu});
        expect(dx, op + ".dx");
        expect(dgamma, op + ".dgamma");
        expect(dbeta, op + ".dbeta");
        if (adds) expect(dz, op + ".dz");
    }
}

TEST_P(golden_ops_test, max_pool) {
    const auto pools = [&](const std::string& name) {
        return rank(name + ".x") == 4 && rank(name + ".y") == 4 && !has(name + ".w") && !has(name + ".gamma");
    };
    for (const std::string& op : operations(pools)) {
        SCOPED_TRACE(op);
        const tensor_view x = input(op + ".x"), dy = input(op + ".dy");
        const tensor_view y = output_like(op + ".y"), dx = output_like(op + ".x");
        const tensor_view argmax = tensors_.output(backend_->activation(dtype::u8, dims(op + ".y")));
        tensors_.run(max_pool_forward{x, {}, y, argmax});
        tensors_.run(max_pool_backward{dy, {}, argmax, dx});
        expect(y, op + ".y");
        expect(dx, op + ".dx");
    }
}

TEST_P(golden_ops_test, concat_pool) {
    const auto pools = [&](const std::string& name) {
        return rank(name + ".x") == 4 && rank(name + ".y") == 2;
    };
    for (const std::string& op : operations(pools)) {
        SCOPED_TRACE(op);
        const shape x_dims = dims(op + ".x");
        const tensor_view x = input(op + ".x"), dy = input(op + ".dy");
        const tensor_view y = output_like(op + ".y"), dx = output_like(op + ".x");
        const tensor_view argmax = tensors_.output(tensor_desc{dtype::i32, {x_dims[0], x_dims[1]}});
        tensors_.run(concat_pool_forward{x, y, argmax});
        tensors_.run(concat_pool_backward{dy, argmax, dx});
        expect(y, op + ".y");
        expect(dx, op + ".dx");
    }
}

TEST_P(golden_ops_test, linear) {
    for (const std::string& op :
         operations([&](const std::string& name) { return rank(name + ".w") == 2; })) {
        SCOPED_TRACE(op);
        const tensor_view x = input(op + ".x"), w = input(op + ".w"), dy = input(op + ".dy");
        const tensor_view y = output_like(op + ".y"), dx = output_like(op + ".x"),
                          dw = output_like(op + ".w");
        tensors_.run(linear_forward{x, w, y});
        tensors_.run(linear_backward{x, w, y, dy, dx, dw});
        expect(y, op + ".y");
        expect(dx, op + ".dx");
        expect(dw, op + ".dw");
    }
}

TEST_P(golden_ops_test, softmax_cross_entropy) {
    for (const std::string& op : operations([&](const std::string& name) { return has(name + ".target"); })) {
        SCOPED_TRACE(op);
        const shape x = dims(op + ".x");
        const tensor_view loss = tensors_.output({1}), dlogits = output_like(op + ".x");
        tensors_.run(softmax_cross_entropy{input(op + ".x"), targets(op + ".target"), loss,
                                           tensors_.output({x[0]}),
                                           tensors_.output(tensor_desc{dtype::i32, {x[0]}}), dlogits});
        expect(loss, op + ".loss");
        std::vector<double> gradient = tensors_.values(dlogits);
        if (has(op + ".dloss")) // the gradient that flowed in; 1 where none is stored
            for (double& value : gradient) value *= values(op + ".dloss")[0];
        EXPECT_TRUE(close_to(gradient, values(op + ".dx"), limit)) << op << ".dx";
    }
}

TEST_P(golden_ops_test, adam) {
    for (const std::string& op : operations([&](const std::string& name) { return has(name + ".grads"); })) {
        SCOPED_TRACE(op);
        const shape grads_dims = dims(op + ".grads");
        const std::int64_t steps = grads_dims[0], count = grads_dims[1];
        const std::vector<double> grads = values(op + ".grads"), lr = values(op + ".lr"),
                                  mom = values(op + ".mom");
        const std::vector<double> zeros(static_cast<std::size_t>(count));
        const auto state = [&] { return tensors_.input({count}, zeros); };
        const tensor_view with_decay = input(op + ".p_wd"), without = input(op + ".p_nowd");
        const tensor_view g = tensors_.output({count}),
                          settings = tensors_.output({1, adam_settings_columns});
        const std::unique_ptr<operation> step = tensors_.prepare(
            adam_step{{{with_decay, g, state(), state(), 0, true}, {without, g, state(), state(), 0, false}},
                      settings,
                      {}});
        // mom^t is the product of the moms so far only where mom is constant: fastai takes the step's own
        // power.
        for (std::int64_t t = 1; t <= steps; ++t) {
            const auto at = static_cast<std::size_t>(t - 1);
            const std::vector<double> row{lr[at], mom[at], static_cast<double>(t)};
            backend_->write(settings, std::span<const double>(row));
            backend_->write(g, std::span(grads).subspan(at * zeros.size(), zeros.size()));
            tensors_.execute(*step);
            expect(with_decay, op + ".p_wd_after" + std::to_string(t));
            expect(without, op + ".p_nowd_after" + std::to_string(t));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(every_backend, golden_ops_test, ::testing::ValuesIn(available_backends()),
                         [](const auto& tested) { return test_name(tested.param); });

} // namespace
} // namespace petnet::testing
