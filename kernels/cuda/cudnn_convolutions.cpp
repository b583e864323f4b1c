// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/cudnn_convolutions.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/cudnn_graph.hpp"
#include "kernels/cuda/cudnn_library.hpp"
#include "kernels/cuda/error.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/plan_cache.hpp"
#include "kernels/cuda/plan_choice.hpp"
#include "kernels/cuda/plan_timer.hpp"
#include "kernels/cuda/widen.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

constexpr std::size_t timed_plans = 8;

cudaDeviceProp properties_of_device() {
    int device = 0;
    check(cudaGetDevice(&device), "asking for the GPU");
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, device), "asking the GPU what it is");
    return properties;
}

cudnn_options completed(cudnn_options options, const cudaDeviceProp& properties) {
    constexpr std::size_t megabyte = std::size_t{1} << 20;
    if (options.workspace_bytes == 0)
        options.workspace_bytes = std::clamp(properties.totalGlobalMem / 64, 256 * megabyte, 1024 * megabyte);
    return options;
}

// All that a choice of plans depends on beside the problem.
std::string surroundings(const cudnn_options& options, const cudaDeviceProp& properties) {
    int driver = 0;
    check(cudaDriverGetVersion(&driver), "asking for the driver's version");
    return fmt::format("{}, {}.{}, {} multiprocessors, driver {}, cuDNN {}, headers {}, {}, workspace {}",
                       properties.name, properties.major, properties.minor, properties.multiProcessorCount,
                       driver, load_cudnn().version, cudnn_frontend_version(),
                       options.tf32 ? "tf32" : "no tf32", options.workspace_bytes);
}

// A 16-bit gradient of weights is written into the workspace and widened from there.
bool is_widened(const stored_convolution& problem) {
    return problem.kind == convolution_kind::backward_weights && problem.activations != dtype::f32;
}
std::size_t narrow_bytes(const stored_convolution& problem) {
    if (!is_widened(problem)) return 0;
    const auto bytes =
        static_cast<std::size_t>(problem.shape.w().elements()) * element_bytes(problem.activations);
    return (bytes + memory_alignment - 1) / memory_alignment * memory_alignment;
}

class plan_of_cudnn final : public convolution_plan {
  public:
    // The handle outlives the plan.
    plan_of_cudnn(cudnn_handle& cudnn, const stored_convolution& problem, std::unique_ptr<cudnn_graph> graph,
                  cudnn_plan plan)
        : cudnn_(cudnn),
          problem_(problem),
          narrow_bytes_(narrow_bytes(problem)),
          graph_(std::move(graph)),
          plan_(std::move(plan)) {}

    [[nodiscard]] std::size_t workspace_bytes() const override {
        return narrow_bytes_ + plan_.workspace_bytes;
    }

    void execute(const std::byte* a, const std::byte* b, std::byte* result, std::byte* workspace,
                 cudaStream_t on_stream) override {
        cudnn_.set_stream(on_stream);
        std::byte* computed = is_widened(problem_) ? workspace : result;
        graph_->execute(cudnn_, plan_, a, b, computed, workspace + narrow_bytes_);
        if (is_widened(problem_))
            widen(on_stream, problem_.activations, computed, reinterpret_cast<float*>(result),
                  problem_.shape.w().elements());
    }

  private:
    cudnn_handle& cudnn_;
    stored_convolution problem_;
    std::size_t narrow_bytes_;
    std::unique_ptr<cudnn_graph> graph_;
    cudnn_plan plan_;
};

class convolutions_of_cudnn final : public convolutions {
  public:
    convolutions_of_cudnn(cudaStream_t on_stream, const cudnn_options& options,
                          const cudaDeviceProp& properties)
        : options_(completed(options, properties)),
          stream_(on_stream),
          cache_(options.cache_folder.empty() ? options.cache_folder : options.cache_folder / "plans",
                 surroundings(options_, properties), options.on_warning) {
        cudnn_.set_stream(on_stream);
    }

    [[nodiscard]] std::shared_ptr<convolution_plan> plan(const stored_convolution& problem) override {
        for (const auto& [known, plan] : plans_)
            if (known == problem) return plan;
        plans_.emplace_back(problem, make(problem));
        return plans_.back().second;
    }

    [[nodiscard]] std::string description() const override { return "cuDNN " + load_cudnn().version; }

  private:
    [[nodiscard]] std::unique_ptr<cudnn_graph> graph_of(const stored_convolution& problem) const {
        return std::make_unique<cudnn_graph>(cudnn_, problem, options_.tf32);
    }

    [[nodiscard]] std::shared_ptr<convolution_plan> make(const stored_convolution& problem) {
        const std::string key = text_of(problem);
        std::optional<std::string> name = cache_.find(key);
        if (!name) name = choose(problem, key);
        // A graph of its own, even after a choice: it holds this one plan and not all that were timed.
        auto graph = graph_of(problem);
        auto plan = graph->plan(*name);
        if (!plan) {
            cache_.forget(key);
            graph = graph_of(problem);
            plan = graph->plan(choose(problem, key));
        }
        if (!plan)
            throw environment_error("cuDNN: the plan chosen for convolution " + key + " is not there again");
        return std::make_shared<plan_of_cudnn>(cudnn_, problem, std::move(graph), *std::move(plan));
    }

    [[nodiscard]] std::string choose(const stored_convolution& problem, const std::string& key) {
        const auto graph = graph_of(problem);
        const std::vector<cudnn_plan> plans = graph->plans(timed_plans, options_.workspace_bytes);
        if (plans.empty())
            throw environment_error(
                fmt::format("cuDNN has no plan within {} MB of workspace for convolution {}",
                            options_.workspace_bytes >> 20, key));
        const std::string& first = plans.front().name;
        if (!options_.tune || !cache_.can_remember()) return first;
        return cache_.remember(key, plans[fastest(problem, *graph, plans)].name).value_or(first);
    }

    // 0 where the device has not the memory for timing.
    [[nodiscard]] std::size_t fastest(const stored_convolution& problem, cudnn_graph& graph,
                                      const std::vector<cudnn_plan>& plans) {
        if (plans.size() == 1) return 0;
        std::size_t workspace_bytes = 0;
        for (const cudnn_plan& plan : plans)
            workspace_bytes = std::max(workspace_bytes, plan.workspace_bytes);
        const auto timer = plan_timer::make(stream_, problem, workspace_bytes);
        if (!timer) return 0;
        const std::size_t choice = choose_plan(plans.size(), [&](std::size_t i) {
            return timer->milliseconds([&](const plan_timer::operands& on) {
                graph.execute(cudnn_, plans[i], on.a, on.b, on.result, on.workspace);
            });
        });
        if (choice == plans.size())
            throw environment_error("cuDNN: none of its plans for convolution " + text_of(problem) +
                                    " works");
        return choice;
    }

    cudnn_options options_;
    cudaStream_t stream_;
    cudnn_handle cudnn_;
    plan_cache cache_;
    std::vector<std::pair<stored_convolution, std::shared_ptr<convolution_plan>>> plans_;
};

} // namespace

std::unique_ptr<convolutions> make_cudnn_convolutions(cudaStream_t on_stream, const cudnn_options& options) {
    return std::make_unique<convolutions_of_cudnn>(on_stream, options, properties_of_device());
}

} // namespace petnet::kernels::cuda
