// SPDX-License-Identifier: Apache-2.0
// The operations of photographs and of the body, in every combination of their options, on every backend, at
// sizes that do not flatter.
#include "base/random.hpp"
#include "kernels/problems.hpp"
#include "tests/kernels/conformance_fixture.hpp"
#include "tests/support/address_sanitizer.hpp"
#include "tests/support/fill.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>

namespace petnet::testing {
namespace {

// Batch, channels, height, width: odd and even, one and many, whole and broken blocks of channels; broken
// ones also with more rows than a block of threads has.
const std::vector<shape> activations{{1, 1, 1, 2},    {2, 3, 1, 1},  {3, 3, 8, 7},  {2, 8, 9, 12},
                                     {1, 16, 15, 15}, {2, 24, 5, 4}, {3, 40, 7, 7}, {1, 64, 14, 13},
                                     {2, 64, 2, 3},   {2, 3, 23, 29}};

tensor_view maybe_input(test_tensors& tensors, std::string_view name, const shape& dims, bool wanted) {
    return wanted ? tensors.input(name, dims) : tensor_view{};
}
shape pooled(const shape& dims) { return {dims[0], dims[1], (dims[2] - 1) / 2 + 1, (dims[3] - 1) / 2 + 1}; }

constexpr std::array imagenet_mean{0.485F, 0.456F, 0.406F}, imagenet_deviation{0.229F, 0.224F, 0.225F};

tensor_view random_pixels(test_tensors& tensors, const shape& dims) {
    std::vector<std::byte> pixels(static_cast<std::size_t>(dims.elements()));
    for (std::size_t i = 0; i < pixels.size(); ++i)
        pixels[i] = static_cast<std::byte>(random_key(1).bits(i) & 0xFF);
    return tensors.bytes(dtype::u8, dims, pixels);
}

// Squares of photographs that lie one behind the other, upright and lying ones in turn, cut at some place;
// with weights that sum to more than 1, less, and nothing.
operation_params some_cuts(test_tensors& tensors, std::int64_t batch, std::int64_t size) {
    const random_key key = random_key(3).child(static_cast<std::uint64_t>(size));
    const auto side = static_cast<std::uint64_t>(size), inputs = 2 * side + 3, taps = std::uint64_t{4};
    const std::uint64_t photo_bytes = inputs * side * 3, table_numbers = side * (2 + taps);
    std::vector<std::uint8_t> store(static_cast<std::size_t>(batch) * photo_bytes);
    for (std::size_t i = 0; i < store.size(); ++i) store[i] = static_cast<std::uint8_t>(key.bits(i) & 0xFF);
    std::vector<std::int32_t> tables;
    std::vector<std::uint64_t> places;
    for (std::uint64_t n = 0; n < static_cast<std::uint64_t>(batch); ++n) {
        const bool vertical = n % 2 == 0;
        const std::uint64_t stride = 3 * (vertical ? side : inputs), step = vertical ? stride : 3;
        const std::uint64_t cut = n % 3; // inputs that are left out at the beginning
        for (const std::uint64_t value :
             {n * photo_bytes + cut * step, stride, n * table_numbers, taps, std::uint64_t{vertical}})
            places.push_back(value);
        for (std::uint64_t i = 0; i < side; ++i) {
            const std::uint64_t count = 1 + i % taps;
            tables.insert(tables.end(), {static_cast<std::int32_t>(2 * i), static_cast<std::int32_t>(count)});
            for (std::uint64_t k = 0; k < taps; ++k)
                tables.push_back(k < count
                                     ? static_cast<std::int32_t>(key.child(n).bits(i * taps + k) % (1U << 21))
                                     : 0x7FFFFFFF); // must not be looked at
        }
    }
    const auto whole = [](const auto& values) { return shape{static_cast<std::int64_t>(values.size())}; };
    return cut_photographs{tensors.integers(dtype::u8, whole(store), store),
                           tensors.integers(dtype::i32, whole(tables), tables),
                           tensors.integers(dtype::u64, {batch, cut_place_columns}, places),
                           tensors.output(tensor_desc{dtype::u8, {batch, size, size, 3}})};
}

TEST_P(conformance_test, cut_photographs) {
    for (const std::int64_t size : {1, 7, 16, 33})
        expect([&](test_tensors& tensors) { return some_cuts(tensors, 5, size); });
}

TEST_P(conformance_test, photo_to_tensor) {
    for (const shape& dims : {shape{1, 1, 1, 3}, shape{2, 7, 5, 3}, shape{3, 16, 17, 3}})
        expect([&](test_tensors& tensors) -> operation_params {
            return photo_to_tensor{random_pixels(tensors, dims),
                                   tensors.output(shape{dims[0], 3, dims[1], dims[2]}), imagenet_mean,
                                   imagenet_deviation};
        });
}

struct sampling_case {
    std::int64_t batch, height, width, out_height, out_width;
};

// Nothing, fastai's draws at their ends, turned by a right angle, and seen from so far away that the
// photograph is reflected a dozen times.
const std::vector<std::vector<double>> photo_transforms{
    {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1},
    {-0.9, 0.15, 0.1, 0.17, 0.93, -0.08, -0.19, 0.16, 1, 0.405, 1.25},
    {0, -1, 0, 1, 0, 0, 0, 0, 2, -0.405, 0.8},
    {11.3, 2.1, 0.7, -1.9, 12.7, -4.4, 0.3, -0.2, 1, 0.1, 0.9}};

TEST_P(conformance_test, sampled_photo_to_tensor) {
    for (const sampling_case& size :
         {sampling_case{1, 1, 1, 1, 1}, sampling_case{2, 1, 6, 3, 1}, sampling_case{4, 7, 5, 9, 4},
          sampling_case{5, 16, 17, 8, 11}, sampling_case{4, 37, 41, 8, 9}, sampling_case{1, 23, 60, 5, 16},
          sampling_case{3, 60, 23, 16, 5}, sampling_case{2, 115, 115, 56, 56},
          sampling_case{1, 9, 300, 9, 140}})
        for (const bool transformed : {false, true}) {
            SCOPED_TRACE(
                fmt::format("{}x{} to {}x{}", size.height, size.width, size.out_height, size.out_width) +
                (transformed ? ", transformed" : ""));
            expect([&](test_tensors& tensors) -> operation_params {
                std::vector<double> transforms;
                for (std::int64_t n = 0; n < size.batch; ++n)
                    for (const double value : photo_transforms[static_cast<std::size_t>(n + size.height) %
                                                               photo_transforms.size()])
                        transforms.push_back(rounded_to_f32(value));
                return kernels::sampled_photo_to_tensor{
                    random_pixels(tensors, {size.batch, size.height, size.width, 3}),
                    transformed ? tensors.input({size.batch, photo_transform_columns}, transforms)
                                : tensor_view{},
                    tensors.output(shape{size.batch, 3, size.out_height, size.out_width}), imagenet_mean,
                    imagenet_deviation};
            });
        }
}

std::vector<convolution_shape> convolutions() {
    std::vector<convolution_shape> shapes{
        {1, 1, 5, 7, 1, 3, 1, 1},
        {2, 3, 15, 14, 64, 7, 2, 3},
        {1, 3, 8, 9, 8, 7, 2, 3},
        {3, 8, 1, 1, 16, 3, 1, 1},
        {2, 16, 9, 11, 24, 3, 1, 1},
        {2, 16, 9, 11, 32, 3, 2, 1},
        {1, 24, 7, 7, 40, 3, 1, 1},
        {3, 40, 2, 3, 8, 1, 2, 0},
        {2, 64, 14, 14, 64, 3, 1, 1},
        {1, 64, 8, 7, 128, 1, 2, 0},
        {2, 64, 7, 7, 64, 3, 2, 1},
        {1, 8, 10, 9, 8, 5, 3, 2},
        // Winograd's on a CPU: several blocks of tiles a thread; few tiles, other channels out than in.
        {120, 64, 1, 5, 64, 3, 1, 1},
        {8, 128, 5, 8, 64, 3, 1, 1}};
    if (address_sanitizer) { // the network's own, with as many channels but few pixels
        shapes.push_back({1, 512, 2, 3, 512, 3, 1, 1});
        return shapes;
    }
    for (const convolution_problem& problem : resnet34_convolutions)
        if (problem.name == "conv1" || problem.name.starts_with("layer2.0") || problem.name == "layer4")
            shapes.push_back(problem.shape);
    return shapes;
}

TEST_P(conformance_test, convolution) {
    for (const convolution_shape& shape : convolutions()) {
        SCOPED_TRACE("x " + shape.x().text() + ", w " + shape.w().text());
        expect([&](test_tensors& tensors) -> operation_params {
            return convolution_forward{shape, tensors.input("x", shape.x()), tensors.weights("w", shape),
                                       tensors.output(shape.y())};
        });
        expect([&](test_tensors& tensors) -> operation_params {
            return convolution_backward_data{shape, tensors.input("dy", shape.y()),
                                             tensors.weights("w", shape), tensors.output(shape.x())};
        });
        expect([&](test_tensors& tensors) -> operation_params {
            return convolution_backward_weights{shape, tensors.input("x", shape.x()),
                                                tensors.input("dy", shape.y()),
                                                tensors.weights_output(shape)};
        });
    }
}

// Scales of both signs, some of which leave a channel nothing or all of it.
tensor_view saved_statistics(test_tensors& tensors, std::int64_t channels) {
    std::vector<double> rows(static_cast<std::size_t>(4 * channels), -77); // mean and deviation: of no use
    for (std::int64_t c = 0; c < channels; ++c) {
        rows[static_cast<std::size_t>(2 * channels + c)] =
            rounded_to_f32((c % 3 == 0 ? -0.7 : 1.1) + 0.01 * static_cast<double>(c % 7));
        rows[static_cast<std::size_t>(3 * channels + c)] =
            rounded_to_f32(0.3 - 0.2 * static_cast<double>(c % 5));
    }
    return tensors.input({4, channels}, rows);
}

TEST_P(conformance_test, convolution_through_a_batch_norm) {
    for (const convolution_shape& shape : convolutions()) {
        if (shape.x().elements() > 100'000) continue; // the same code, for longer
        SCOPED_TRACE("x " + shape.x().text() + ", w " + shape.w().text());
        expect([&](test_tensors& tensors) -> operation_params {
            return convolution_forward{shape, tensors.input("x", shape.x()), tensors.weights("w", shape),
                                       tensors.output(shape.y()),
                                       saved_statistics(tensors, shape.in_channels)};
        });
        expect([&](test_tensors& tensors) -> operation_params {
            return convolution_backward_weights{shape, tensors.input("x", shape.x()),
                                                tensors.input("dy", shape.y()), tensors.weights_output(shape),
                                                saved_statistics(tensors, shape.in_channels)};
        });
    }
}

std::vector<shape> normalised() {
    std::vector<shape> dims = activations;
    dims.insert(dims.end(), features.begin(), features.end());
    if (!address_sanitizer) dims.push_back(resnet34_batch_norms.back().dims(2));
    return dims;
}

// A channel's elements alternate around 0.4 at a distance of 0.5 to 1.5: however few they are, their
// deviation is not small beside them, and normalising them magnifies no rounding.
tensor_view spread_input(test_tensors& tensors, const shape& dims) {
    const std::int64_t height = dims.rank() == 4 ? dims[2] : 1, width = dims.rank() == 4 ? dims[3] : 1;
    std::vector<double> values(static_cast<std::size_t>(dims.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        const std::int64_t n = at / (dims[1] * height * width), h = at / width % height, w = at % width;
        const double distance = 0.5 + random_key(1).uniform(i);
        values[i] = rounded_to_f32(0.4 + ((n + h + w) % 2 == 0 ? distance : -distance));
    }
    return tensors.input(dims, values);
}

// Where y goes: a tensor of its own, x, the residual, or nowhere.
enum class destination : std::uint8_t { own, x, residual, none };

template <class Op>
Op normalise(test_tensors& tensors, const shape& dims, bool relu, bool adds, destination to, bool saves) {
    const std::int64_t channels = dims[1];
    Op op{spread_input(tensors, dims),
          tensors.input("gamma", {channels}, 0.2, 1),
          tensors.input("beta", {channels}, 0.2),
          tensors.input("mean", {channels}, 0.3),
          tensors.input("variance", {channels}, 0.1, 1),
          maybe_input(tensors, "residual", dims, adds),
          {},
          saves ? tensors.output({4, channels}) : tensor_view{},
          relu};
    if (to == destination::own) op.y = like(tensors, op.x);
    if (to == destination::x) op.y = op.x;
    if (to == destination::residual) op.y = op.residual;
    return op;
}

TEST_P(conformance_test, batch_norm_forward) {
    for (const shape& dims : normalised())
        for (const bool relu : {false, true})
            for (const bool adds : {false, true})
                for (const destination to :
                     {destination::own, destination::x, destination::residual, destination::none}) {
                    if (to == destination::residual && !adds) continue;
                    SCOPED_TRACE(dims.text() + (relu ? " relu" : "") + (adds ? " residual" : ""));
                    expect([&](test_tensors& tensors) -> operation_params {
                        return normalise<batch_norm_forward>(tensors, dims, relu, adds, to, true);
                    });
                }
}

TEST_P(conformance_test, batch_norm_inference) {
    for (const shape& dims : normalised())
        for (const bool relu : {false, true})
            for (const bool adds : {false, true})
                for (const destination to : {destination::own, destination::x, destination::residual}) {
                    if (to == destination::residual && !adds) continue;
                    SCOPED_TRACE(dims.text() + (relu ? " relu" : "") + (adds ? " residual" : ""));
                    expect([&](test_tensors& tensors) -> operation_params {
                        return normalise<batch_norm_inference>(tensors, dims, relu, adds, to, false);
                    });
                }
}

// The stem's two operations of evaluation, one after the other.
TEST_P(conformance_test, max_pool_of_batch_norm_inference) {
    for (const shape& dims : activations)
        expect([&](test_tensors& tensors) -> operation_params {
            const auto normalised =
                normalise<batch_norm_inference>(tensors, dims, true, false, destination::none, true);
            tensors.run(normalised);
            return max_pool_forward{normalised.x, normalised.saved, tensors.output(pooled(dims)), {}};
        });
}

// The gradient's destinations: of their own, dx over dy, dresidual over dy, no dx.
enum class reuse : std::uint8_t { none, dx_is_dy, dresidual_is_dy, no_dx };

operation_params differentiate(test_tensors& tensors, const shape& dims, bool relu, bool adds, bool two,
                               bool keeps_y, reuse how) {
    const auto forward = normalise<batch_norm_forward>(tensors, dims, relu, adds, destination::own, true);
    tensors.run(forward);
    batch_norm_backward op{.dy = tensors.input("dy", dims),
                           .dy2 = maybe_input(tensors, "dy2", dims, two),
                           .x = forward.x,
                           .y = keeps_y ? forward.y : tensor_view{},
                           .gamma = forward.gamma,
                           .saved = forward.saved,
                           .dx = {},
                           .dgamma = tensors.output({dims[1]}),
                           .dbeta = tensors.output({dims[1]}),
                           .dresidual = {},
                           .relu = relu};
    if (adds) op.dresidual = how == reuse::dresidual_is_dy ? op.dy : like(tensors, op.x);
    if (how != reuse::no_dx) op.dx = how == reuse::dx_is_dy ? op.dy : like(tensors, op.x);
    return op;
}

TEST_P(conformance_test, batch_norm_backward) {
    for (const shape& dims : normalised())
        for (const bool relu : {false, true})
            for (const bool adds : {false, true})
                for (const bool two : {false, true})
                    for (const bool keeps_y : {false, true})
                        for (const reuse how :
                             {reuse::none, reuse::dx_is_dy, reuse::dresidual_is_dy, reuse::no_dx}) {
                            if (adds ? how == reuse::dx_is_dy : how == reuse::dresidual_is_dy) continue;
                            if (relu && adds && !keeps_y) continue;
                            SCOPED_TRACE(dims.text() + (relu ? " relu" : "") + (adds ? " residual" : "") +
                                         (two ? " dy2" : "") + (keeps_y ? " y" : "") + " reuse " +
                                         std::to_string(static_cast<int>(how)));
                            expect([&](test_tensors& tensors) {
                                return differentiate(tensors, dims, relu, adds, two, keeps_y, how);
                            });
                        }
}

max_pool_forward pool(test_tensors& tensors, const shape& dims, bool normalises, bool remembers) {
    const std::int64_t channels = dims[1];
    max_pool_forward op{.x = tensors.input("x", dims),
                        .saved = maybe_input(tensors, "saved", {4, channels}, normalises),
                        .y = tensors.output(pooled(dims)),
                        .argmax = {}};
    if (remembers) op.argmax = tensors.output(tensors.on().activation(dtype::u8, pooled(dims)));
    return op;
}

TEST_P(conformance_test, max_pool) {
    for (const shape& dims : activations)
        for (const bool normalises : {false, true}) {
            SCOPED_TRACE(dims.text() + (normalises ? " saved" : ""));
            for (const bool remembers : {false, true})
                expect([&](test_tensors& tensors) -> operation_params {
                    return pool(tensors, dims, normalises, remembers);
                });
            for (const bool two : {false, true})
                expect([&](test_tensors& tensors) -> operation_params {
                    const max_pool_forward forward = pool(tensors, dims, normalises, true);
                    tensors.run(forward);
                    return max_pool_backward{tensors.input("dy", pooled(dims)),
                                             maybe_input(tensors, "dy2", pooled(dims), two), forward.argmax,
                                             tensors.output(dims)};
                });
        }
}

// Equal values: the first one wins.
TEST_P(conformance_test, pooling_of_ties) {
    const shape dims{2, 8, 5, 6};
    const std::vector<double> ones(static_cast<std::size_t>(dims.elements()), 1.0);
    expect([&](test_tensors& tensors) -> operation_params {
        const tensor_view x = tensors.input(dims, ones);
        const tensor_view argmax = tensors.output(tensors.on().activation(dtype::u8, pooled(dims)));
        tensors.run(max_pool_forward{x, {}, tensors.output(pooled(dims)), argmax});
        return max_pool_backward{tensors.input("dy", pooled(dims)), {}, argmax, tensors.output(dims)};
    });
    expect([&](test_tensors& tensors) -> operation_params {
        return concat_pool_forward{tensors.input(dims, ones), tensors.output(shape{2, 16}),
                                   tensors.output(tensor_desc{dtype::i32, {2, 8}})};
    });
}

TEST_P(conformance_test, concat_pool) {
    std::vector<shape> planes = activations;
    planes.push_back({2, 264, 3, 3}); // several groups of 32 packs
    for (const shape& dims : planes)
        for (const bool remembers : {false, true}) {
            SCOPED_TRACE(dims.text());
            const shape flat{dims[0], 2 * dims[1]}, maxima{dims[0], dims[1]};
            expect([&](test_tensors& tensors) -> operation_params {
                return concat_pool_forward{tensors.input("x", dims), tensors.output(flat),
                                           remembers ? tensors.output(tensor_desc{dtype::i32, maxima})
                                                     : tensor_view{}};
            });
            expect([&](test_tensors& tensors) -> operation_params {
                std::vector<std::int32_t> argmax(static_cast<std::size_t>(maxima.elements()));
                for (std::size_t i = 0; i < argmax.size(); ++i)
                    argmax[i] =
                        static_cast<std::int32_t>(static_cast<std::int64_t>(i * 7) % (dims[2] * dims[3]));
                return concat_pool_backward{tensors.input("dy", flat),
                                            remembers ? tensors.integers(dtype::i32, maxima, argmax)
                                                      : tensor_view{},
                                            tensors.output(dims)};
            });
        }
}

INSTANTIATE_TEST_SUITE_P(every_backend, conformance_test, ::testing::ValuesIn(backends_and_dtypes()),
                         conformance_test::case_name);

} // namespace
} // namespace petnet::testing
