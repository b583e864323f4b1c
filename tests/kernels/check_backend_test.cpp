// SPDX-License-Identifier: Apache-2.0
// The check backend must be silent where two backends agree and name the tensor where they do not.
#include "kernels/check_backend.hpp"
#include "kernels/reference/reference_backend.hpp"
#include "tests/support/test_tensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace petnet::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// `reference`, but after an operation of the given name one element of the given operand is wrong.
class wrong_backend final : public backend {
  public:
    wrong_backend(std::string operation, std::string operand)
        : operation_(std::move(operation)), operand_(std::move(operand)) {}

    [[nodiscard]] std::string name() const override { return "wrong"; }
    [[nodiscard]] std::string device() const override { return right_->device(); }
    [[nodiscard]] bool supports(dtype type) const override { return right_->supports(type); }
    [[nodiscard]] dtype fastest() const override { return right_->fastest(); }
    [[nodiscard]] tensor_desc activation(dtype type, const shape& dims) const override {
        return right_->activation(type, dims);
    }
    [[nodiscard]] tensor_desc convolution_weights(const convolution_shape& shape, dtype type) const override {
        return right_->convolution_weights(shape, type);
    }
    [[nodiscard]] std::size_t storage_bytes(const tensor_desc& desc) const override {
        return right_->storage_bytes(desc);
    }
    [[nodiscard]] device_memory allocate(std::size_t bytes) override { return right_->allocate(bytes); }
    void write(const tensor_view& to, std::span<const float> values) override { right_->write(to, values); }
    void write(const tensor_view& to, std::span<const double> values) override { right_->write(to, values); }
    void read(const tensor_view& from, std::span<float> values) override { right_->read(from, values); }
    void read(const tensor_view& from, std::span<double> values) override { right_->read(from, values); }
    void write_bytes(const tensor_view& to, std::span<const std::byte> bytes) override {
        right_->write_bytes(to, bytes);
    }
    void read_bytes(const tensor_view& from, std::span<std::byte> bytes) override {
        right_->read_bytes(from, bytes);
    }
    void clear(const tensor_view& view) override { right_->clear(view); }

    [[nodiscard]] std::unique_ptr<operation> prepare(const operation_params& op) override {
        tensor_view spoiled;
        if (name_of(op) == operation_)
            for_each_operand(op, [&](std::string_view name, const tensor_view& view, access) {
                if (name == operand_) spoiled = view;
            });
        return std::make_unique<spoiled_operation>(*right_, right_->prepare(op), spoiled);
    }

  private:
    class spoiled_operation final : public operation {
      public:
        spoiled_operation(backend& on, std::unique_ptr<operation> right, const tensor_view& spoiled)
            : on_(on), right_(std::move(right)), spoiled_(spoiled) {}
        [[nodiscard]] std::size_t workspace_bytes() const override { return right_->workspace_bytes(); }
        void execute(std::byte* workspace) override {
            right_->execute(workspace);
            if (!spoiled_.present()) return;
            std::vector<double> values(static_cast<std::size_t>(spoiled_.desc.dims.elements()));
            on_.read(spoiled_, std::span(values));
            values.back() += 1;
            on_.write(spoiled_, std::span<const double>(values));
        }

      private:
        backend& on_;
        std::unique_ptr<operation> right_;
        tensor_view spoiled_;
    };

    std::unique_ptr<backend> right_ = make_reference_backend();
    std::string operation_, operand_;
};

// Convolution, batch norm, pooling, head and back, the second pass over the same memory. The arena's reuse of
// addresses is imitated: dx of the last convolution lies where the pooled maxima were.
void run_a_chain(backend& on, dtype type) {
    test_tensors tensors(on, type, type);
    const convolution_shape problem{2, 3, 9, 8, 8, 3, 1, 1};
    const tensor_view x = tensors.input("x", problem.x()), w = tensors.weights("w", problem, 0.3);
    const tensor_view y = tensors.output(problem.y()), saved = tensors.output({4, 8});
    const tensor_view gamma = tensors.input("gamma", {8}, 0.2, 1), beta = tensors.input("beta", {8}, 0.2);
    const tensor_view mean = tensors.input("mean", {8}), variance = tensors.input("variance", {8}, 0.1, 1);
    const shape pooled{2, 8, 5, 4};
    const tensor_view p = tensors.output(pooled), argmax = tensors.output(on.activation(dtype::u8, pooled));
    const tensor_view f = tensors.output({2, 16}), maxima = tensors.output(tensor_desc{dtype::i32, {2, 8}});
    const tensor_view logits = tensors.output({2, 4}), v = tensors.input("v", {4, 16}, 0.3);
    const tensor_view target = tensors.integers(dtype::i32, {2}, std::vector<std::int32_t>{3, 1});
    const tensor_view df = tensors.output({2, 16}), dv = tensors.output({4, 16}), dp = tensors.output(pooled);
    const tensor_view dy = tensors.output(problem.y()), dw = tensors.weights_output(problem);
    const tensor_view dx{on.activation(type, problem.x()), y.data};
    const std::vector<operation_params> chain{
        convolution_forward{problem, x, w, y},
        batch_norm_forward{y, gamma, beta, mean, variance, {}, {}, saved, true},
        max_pool_forward{y, saved, p, argmax},
        concat_pool_forward{p, f, maxima},
        linear_forward{f, v, logits},
        softmax_cross_entropy{logits, target, tensors.output({1}), tensors.output({2}),
                              tensors.output(tensor_desc{dtype::i32, {2}}), logits},
        linear_backward{f, v, {}, logits, df, dv},
        concat_pool_backward{df, maxima, dp},
        max_pool_backward{dp, {}, argmax, dy},
        batch_norm_backward{
            dy, {}, y, {}, gamma, saved, dy, tensors.output({8}), tensors.output({8}), {}, true},
        convolution_backward_weights{problem, x, dy, dw},
        convolution_backward_data{problem, dy, w, dx},
    };
    std::vector<std::unique_ptr<operation>> prepared;
    prepared.reserve(chain.size());
    for (const operation_params& op : chain) prepared.push_back(tensors.prepare(op));
    for (int pass = 0; pass < 2; ++pass)
        for (const auto& op : prepared) tensors.execute(*op);
}

TEST(check_backend_test, is_silent_where_backends_agree) {
    for (const auto& status : list_backends()) {
        if (!status.available) continue;
        std::vector<std::string> departures;
        const backend_options options{
            .threads = 0, .on_departure = [&](const std::string& line) { departures.push_back(line); }};
        run_a_chain(*make_backend("check:reference-double," + status.name, options), dtype::f32);
        const auto rounded = make_backend("check:reference," + status.name, options);
        if (rounded->supports(dtype::bf16)) run_a_chain(*rounded, dtype::bf16);
        EXPECT_THAT(departures, IsEmpty()) << status.name;
    }
}

TEST(check_backend_test, names_operation_tensor_and_place_and_departures_do_not_spread) {
    for (const auto& [operation, operand] :
         {std::pair{"convolution_forward", "y"}, std::pair{"batch_norm_forward", "running_variance"},
          std::pair{"max_pool_forward", "y"}, std::pair{"linear_backward", "dw"},
          std::pair{"softmax_cross_entropy", "dlogits"}, std::pair{"convolution_backward_data", "dx"}}) {
        std::vector<std::string> departures;
        const auto checked = make_check_backend(make_reference_double_backend(),
                                                std::make_unique<wrong_backend>(operation, operand),
                                                [&](const std::string& line) { departures.push_back(line); });
        run_a_chain(*checked, dtype::f32);
        const auto named =
            AllOf(HasSubstr(std::string(operation) + ": " + operand + " of wrong departs from"),
                  HasSubstr("1 of "));
        EXPECT_THAT(departures, ElementsAre(named, named)) << "once in each pass";
    }
}

// Its result is the trusted one's, whatever the judged backend does.
TEST(check_backend_test, goes_on_with_the_trusted_values) {
    const auto checked = make_check_backend(make_reference_double_backend(),
                                            std::make_unique<wrong_backend>("linear_forward", "y"), {});
    test_tensors tensors(*checked, dtype::f32, dtype::f32);
    const tensor_view y = tensors.output({1, 1});
    tensors.run(linear_forward{tensors.input(shape{1, 2}, std::vector<double>{2, 3}),
                               tensors.input(shape{1, 2}, std::vector<double>{5, 7}), y});
    EXPECT_EQ(tensors.values(y), std::vector<double>{31});
}

} // namespace
} // namespace petnet::testing
