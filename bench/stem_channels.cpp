// SPDX-License-Identifier: Apache-2.0
// The stem's convolution on photographs of 3 channels stored as 4 or as 8: which padding is the faster. A
// Markdown table. (One of the two is fixed before anything is timed, in kernels/cuda/layout.hpp: the layout
// of photographs is part of the plan's memory.)
#include "bench/operation_timer.hpp"
#include "bench/step_under_test.hpp"
#include "kernels/problems.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <span>
#include <vector>

namespace {

using namespace petnet;

// Seconds of the forward pass and of the gradient of weights.
struct times {
    double forward, weights;
};

times times_of(kernels::backend& device, const kernels::convolution_shape& shape,
               kernels::dtype activations) {
    std::vector<kernels::device_memory> memory;
    const auto tensor = [&](const kernels::tensor_desc& desc) {
        memory.push_back(device.allocate(device.storage_bytes(desc)));
        const kernels::tensor_view view{desc, memory.back().get()};
        std::vector<float> values(static_cast<std::size_t>(desc.dims.elements()));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7 % 31) / 16 - 1;
        device.write(view, std::span<const float>(values));
        return view;
    };
    const auto x = tensor(device.activation(activations, shape.x()));
    const auto y = tensor(device.activation(activations, shape.y()));
    const kernels::tensor_desc weights = device.convolution_weights(shape, activations);
    const auto w = tensor(weights), dw = tensor(weights);
    const auto forward = device.prepare(kernels::convolution_forward{shape, x, w, y});
    const auto backward = device.prepare(kernels::convolution_backward_weights{shape, x, y, dw});
    bench::operation_timer timer(device, std::max(forward->workspace_bytes(), backward->workspace_bytes()));
    return {timer.seconds_of(*forward), timer.seconds_of(*backward)};
}

int run(int argc, char** argv) {
    CLI::App program("The stem's convolution with 4 and with 8 stored channels: a Markdown table.",
                     "stem_channels");
    bench::step_options options;
    bench::add_options(program, options);
    CLI11_PARSE(program, argc, argv);
    const auto device = bench::device_for(options);
    const kernels::dtype activations = bench::dtype_of(options.precision);
    std::printf("| precision | batch | stored channels | forward us | gradient of weights us "
                "|\n|---|---|---|---|---|\n");
    for (const int channels : {3, 8}) { // 3 are stored as 4
        kernels::convolution_shape shape = kernels::resnet34_convolutions.front().shape;
        shape.batch = options.batch;
        shape.height = shape.width = options.size;
        shape.in_channels = channels;
        const times found = times_of(*device, shape, activations);
        std::printf("| %s | %d | %d | %.1f | %.1f |\n", options.precision.c_str(),
                    static_cast<int>(options.batch), channels == 3 ? 4 : 8, 1e6 * found.forward,
                    1e6 * found.weights);
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "stem_channels: %s\n", e.what());
        return 1;
    }
}
