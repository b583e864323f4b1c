// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/cudnn_convolutions.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/convert.hpp"
#include "kernels/cuda/cudnn_graph.hpp"
#include "kernels/cuda/cudnn_library.hpp"
#include "kernels/cuda/error.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/plan_cache.hpp"
#include "kernels/cuda/plan_choice.hpp"
#include "kernels/cuda/plan_timer.hpp"

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
    return aligned(static_cast<std::size_t>(problem.shape.w().elements()) *
                   element_bytes(problem.activations));
}
// Scale and shift are rounded into the workspace.
std::size_t vectors_bytes(const stored_convolution& problem) {
    if (!problem.through_norm) return 0;
    return aligned(static_cast<std::size_t>(2 * problem.shape.in_channels) *
                   element_bytes(problem.activations));
}

class plan_of_cudnn final : public convolution_plan {
  public:
    // The handle outlives the plan.
    plan_of_cudnn(cudnn_handle& cudnn, const stored_convolution& problem, std::shared_ptr<cudnn_graph> graph,
                  cudnn_plan plan)
        : cudnn_(cudnn),
          problem_(problem),
          narrow_bytes_(narrow_bytes(problem)),
          vectors_bytes_(vectors_bytes(problem)),
          graph_(std::move(graph)),
          plan_(std::move(plan)) {}

    [[nodiscard]] std::size_t workspace_bytes() const override {
        return narrow_bytes_ + vectors_bytes_ + plan_.workspace_bytes;
    }

    void execute(const convolution_operands& on, std::byte* workspace, cudaStream_t on_stream) override {
        cudnn_.set_stream(on_stream);
        convolution_operands computed = on;
        if (is_widened(problem_)) computed.result = workspace;
        if (problem_.through_norm) {
            std::byte* rounded = workspace + narrow_bytes_;
            round_to(on_stream, problem_.activations, reinterpret_cast<const float*>(on.scale_and_shift),
                     rounded, 2 * problem_.shape.in_channels);
            computed.scale_and_shift = rounded;
        }
        graph_->execute(cudnn_, plan_, computed, workspace + narrow_bytes_ + vectors_bytes_);
        if (is_widened(problem_))
            widen(on_stream, problem_.activations, computed.result, reinterpret_cast<float*>(on.result),
                  problem_.shape.w().elements());
    }

  private:
    cudnn_handle& cudnn_;
    stored_convolution problem_;
    std::size_t narrow_bytes_, vectors_bytes_;
    std::shared_ptr<cudnn_graph> graph_;
    cudnn_plan plan_;
};

class convolutions_of_cudnn final : public convolutions {
  public:
    convolutions_of_cudnn(cudaStream_t on_stream, const cudnn_options& options,
                          const cudaDeviceProp& properties)
        : options_(completed(options, properties)),
          properties_(properties),
          stream_(on_stream),
          cache_(make_cache()) {
        cudnn_.set_stream(on_stream);
    }

    [[nodiscard]] std::shared_ptr<convolution_plan> plan(const stored_convolution& problem) override {
        if (problem.through_norm && !may_fuse()) return nullptr;
        for (const auto& [known, plan] : plans_)
            if (known == problem) return plan;
        plans_.emplace_back(problem, make(problem));
        return plans_.back().second;
    }

    [[nodiscard]] std::shared_ptr<convolution_plan>
    plan_of_pair(const stored_convolution& problem, const std::string& pair,
                 const std::function<std::unique_ptr<pair_trial>()>& make_trial) override {
        if (!may_fuse()) return nullptr;
        for (const auto& [known, plan] : pairs_)
            if (known == pair) return plan;
        pairs_.emplace_back(pair, make_pair(problem, pair, make_trial));
        return pairs_.back().second;
    }

    [[nodiscard]] bool can_fuse(const stored_convolution& problem) override {
        return may_fuse() && !fusing_plans(problem, 1).empty();
    }

    [[nodiscard]] bool
    takes_alternative(const std::string& ways,
                      const std::function<std::unique_ptr<alternative_trial>()>& make_trial) override {
        if (!may_fuse()) return false;
        for (const auto& [known, second] : ways_)
            if (known == ways) return second;
        ways_.emplace_back(ways, choose_alternative(ways, make_trial));
        return ways_.back().second;
    }

    [[nodiscard]] bool reduce_workspaces() override {
        constexpr std::size_t least = std::size_t{16} << 20, divisor = 4;
        if (options_.workspace_bytes / divisor < least) return false;
        options_.workspace_bytes /= divisor;
        plans_.clear();
        pairs_.clear();
        ways_.clear();
        cache_ = make_cache();
        return true;
    }

    [[nodiscard]] std::string description() const override { return "cuDNN " + load_cudnn().version; }

  private:
    [[nodiscard]] plan_cache make_cache() const {
        return {options_.cache_folder.empty() ? options_.cache_folder : options_.cache_folder / "plans",
                surroundings(options_, properties_), options_.on_warning};
    }
    // What is timed has to be remembered, or the next run may choose another plan and have other bits.
    [[nodiscard]] bool may_time() const { return options_.tune && cache_.can_remember(); }
    [[nodiscard]] bool may_fuse() const {
        return options_.fuse == fusion::always || (options_.fuse == fusion::when_faster && may_time());
    }

    [[nodiscard]] std::unique_ptr<cudnn_graph> graph_of(const stored_convolution& problem) const {
        return std::make_unique<cudnn_graph>(cudnn_, problem, options_.tf32);
    }
    // nullptr where there is no plan of this name. A graph of its own, even after a choice: it holds this one
    // plan and not all that were timed.
    [[nodiscard]] std::shared_ptr<convolution_plan> plan_named(const std::string& name,
                                                               const stored_convolution& problem) {
        auto graph = graph_of(problem);
        auto plan = graph->plan(name);
        if (!plan) return nullptr;
        return std::make_shared<plan_of_cudnn>(cudnn_, problem, std::move(graph), *std::move(plan));
    }

    [[nodiscard]] std::shared_ptr<convolution_plan> make(const stored_convolution& problem) {
        const std::string key = text_of(problem);
        if (const std::optional<std::string> name = cache_.find(key)) {
            if (auto plan = plan_named(*name, problem)) return plan;
            cache_.forget(key);
        }
        if (problem.through_norm && !can_fuse(problem)) return nullptr;
        auto plan = plan_named(choose(problem, key), problem);
        if (!plan)
            throw environment_error("cuDNN: the plan chosen for convolution " + key + " is not there again");
        return plan;
    }

    [[nodiscard]] std::string choose(const stored_convolution& problem, const std::string& key) {
        const auto graph = graph_of(problem);
        const std::vector<cudnn_plan> plans = graph->plans(timed_plans, options_.workspace_bytes);
        if (plans.empty()) throw environment_error("cuDNN has no plan for convolution " + key);
        const std::string& first = plans.front().name;
        if (!may_time()) return first;
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
            return timer->milliseconds([&](const convolution_operands& on, std::byte* workspace) {
                graph.execute(cudnn_, plans[i], on, workspace);
            });
        });
        if (choice == plans.size())
            throw environment_error("cuDNN: none of its plans for convolution " + text_of(problem) +
                                    " works");
        return choice;
    }

    // In the place of a plan's name, for a pair that is done separately.
    static constexpr const char* separately = "separately";

    [[nodiscard]] std::shared_ptr<convolution_plan>
    make_pair(const stored_convolution& problem, const std::string& pair,
              const std::function<std::unique_ptr<pair_trial>()>& make_trial) {
        if (options_.fuse == fusion::always) return first_that_agrees(problem, make_trial);
        if (const std::optional<std::string> name = cache_.find(pair)) {
            if (*name == separately) return nullptr;
            if (auto plan = plan_named(*name, problem)) return plan;
            cache_.forget(pair);
        }
        const std::string chosen =
            cache_.remember(pair, choose_for_pair(problem, pair, make_trial)).value_or(separately);
        return chosen == separately ? nullptr : plan_named(chosen, problem);
    }

    struct named_plan {
        std::string name;
        std::shared_ptr<convolution_plan> plan;
    };
    // Those that cuDNN has for a problem with sums or through a batch norm: none is no error.
    [[nodiscard]] std::vector<named_plan> fusing_plans(const stored_convolution& problem,
                                                       std::size_t limit = timed_plans) {
        std::vector<named_plan> found;
        std::shared_ptr<cudnn_graph> graph;
        try {
            graph = graph_of(problem);
        } catch (const environment_error&) {
            return found;
        }
        for (const cudnn_plan& plan : graph->plans(limit, options_.workspace_bytes))
            found.push_back({plan.name, std::make_shared<plan_of_cudnn>(cudnn_, problem, graph, plan)});
        return found;
    }

    [[nodiscard]] std::shared_ptr<convolution_plan>
    first_that_agrees(const stored_convolution& problem,
                      const std::function<std::unique_ptr<pair_trial>()>& make_trial) {
        const std::vector<named_plan> plans = fusing_plans(problem);
        if (plans.empty()) return nullptr;
        const std::unique_ptr<pair_trial> trial = make_trial();
        if (!trial) return nullptr;
        for (const named_plan& candidate : plans)
            if (trial->agrees(candidate.plan)) return candidate.plan;
        return nullptr;
    }

    // The name of a plan, or `separately`: the fastest of those that agree, where that is faster.
    [[nodiscard]] std::string
    choose_for_pair(const stored_convolution& problem, const std::string& pair,
                    const std::function<std::unique_ptr<pair_trial>()>& make_trial) {
        std::vector<named_plan> runners = fusing_plans(problem);
        if (runners.empty()) return separately;
        const std::unique_ptr<pair_trial> trial = make_trial();
        if (!trial) return separately;
        std::erase_if(runners, [&](const named_plan& candidate) {
            if (trial->agrees(candidate.plan)) return false;
            if (options_.on_warning)
                options_.on_warning("cuDNN's plan " + candidate.name + " for " + pair +
                                    " gives other results than the two operations alone and is not used");
            return true;
        });
        runners.insert(runners.begin(), {separately, nullptr});
        const std::size_t choice =
            choose_plan(runners.size(), [&](std::size_t i) { return trial->milliseconds(runners[i].plan); });
        return choice < runners.size() ? runners[choice].name : separately;
    }

    [[nodiscard]] bool
    choose_alternative(const std::string& ways,
                       const std::function<std::unique_ptr<alternative_trial>()>& make_trial) {
        static constexpr const char *usual = "usual", *alternative = "alternative";
        const auto chosen = [&] {
            const std::unique_ptr<alternative_trial> trial = make_trial();
            if (!trial) return usual;
            if (!trial->agrees()) {
                if (options_.on_warning)
                    options_.on_warning(ways + ": the alternative gives other results and is not used");
                return usual;
            }
            if (options_.fuse == fusion::always) return alternative;
            constexpr std::size_t both = 2;
            return choose_plan(both, [&](std::size_t i) { return trial->milliseconds(i == 1); }) == 1
                       ? alternative
                       : usual;
        };
        if (options_.fuse == fusion::always) return chosen() == alternative;
        std::optional<std::string> known = cache_.find(ways);
        if (!known) known = cache_.remember(ways, chosen());
        return known == alternative;
    }

    cudnn_options options_;
    cudaDeviceProp properties_;
    cudaStream_t stream_;
    cudnn_handle cudnn_;
    plan_cache cache_;
    std::vector<std::pair<stored_convolution, std::shared_ptr<convolution_plan>>> plans_;
    std::vector<std::pair<std::string, std::shared_ptr<convolution_plan>>> pairs_;
    std::vector<std::pair<std::string, bool>> ways_;
};

} // namespace

std::unique_ptr<convolutions> make_cudnn_convolutions(cudaStream_t on_stream, const cudnn_options& options) {
    return std::make_unique<convolutions_of_cudnn>(on_stream, options, properties_of_device());
}

} // namespace petnet::kernels::cuda
