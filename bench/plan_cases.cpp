// SPDX-License-Identifier: Apache-2.0
// Training and evaluation steps, and their operations.
#include "bench/node_timer.hpp"
#include "bench/step_under_test.hpp"
#include "bench/suite.hpp"
#include "kernels/cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace petnet::bench {
namespace {

// Operations of which this is the same take the same time.
std::string signature(const kernels::operation_params& op) {
    std::string text(kernels::name_of(op));
    kernels::for_each_operand(op,
                              [&](std::string_view name, const kernels::tensor_view& view, kernels::access) {
                                  text += fmt::format(" {} {}", name, view.desc.dims.text());
                              });
    return text;
}

// The operands as they matter to a reader: not the vectors of parameters beside them.
std::string shapes_of(const kernels::operation_params& op) {
    std::string text;
    int shown = 0;
    kernels::for_each_operand(
        op, [&](std::string_view name, const kernels::tensor_view& view, kernels::access) {
            if (view.desc.dims.rank() < 2 || name == "saved" || ++shown > 3) return;
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, view.desc.dims.text());
        });
    return text;
}

// The one plan that is open: its step is prepared, warm, and its operations can be timed.
class open_plan {
  public:
    void open(const step_options& options) {
        if (step_ && options == options_) return;
        timer_.reset();
        step_.reset(); // before the next one needs the memory
        step_ = std::make_unique<step_under_test>(options);
        options_ = options;
        // A GPU records the second one and replays it from then on.
        const int warm_up = options.device == "cuda" ? 3 : 1;
        for (int i = 0; i < warm_up; ++i) static_cast<void>(step_->step());
        timer_ = std::make_unique<node_timer>(step_->device(), step_->plan());
    }
    [[nodiscard]] step_under_test& step() { return *step_; }
    [[nodiscard]] node_timer& timer() { return *timer_; }
    // The step has been run as a whole: the operations are to begin anew.
    void restart_operations() { timer_ = std::make_unique<node_timer>(step_->device(), step_->plan()); }

  private:
    step_options options_;
    std::unique_ptr<step_under_test> step_;
    std::unique_ptr<node_timer> timer_;
};

class operation_case final : public bench_case {
  public:
    operation_case(case_description about, std::shared_ptr<open_plan> on, step_options options,
                   std::size_t node)
        : bench_case(std::move(about)), on_(std::move(on)), options_(std::move(options)), node_(node) {}

    void prepare() override {
        on_->open(options_);
        on_->timer().move_to(node_);
    }
    [[nodiscard]] std::optional<std::string> verify() override { return on_->timer().verify(); }
    [[nodiscard]] bool can_verify() const override { return true; }
    [[nodiscard]] double hot() override { return on_->timer().hot(); }
    [[nodiscard]] double cold() override { return on_->timer().cold(); }
    [[nodiscard]] double clock_seconds() const override { return on_->timer().clock().empty_seconds(); }
    [[nodiscard]] double timer_error() const override { return on_->timer().clock().error(); }

  private:
    std::shared_ptr<open_plan> on_;
    step_options options_;
    std::size_t node_;
};

enum class host_does : std::uint8_t { prepare_the_next, upload_too, wait_for_the_loss };

class step_case final : public bench_case {
  public:
    step_case(case_description about, std::shared_ptr<open_plan> on, step_options options,
              host_does meanwhile)
        : bench_case(std::move(about)),
          on_(std::move(on)),
          options_(std::move(options)),
          meanwhile_(meanwhile) {}

    void prepare() override {
        on_->open(options_);
        on_->restart_operations();
        if (steps_ == 0) steps_ = std::clamp(static_cast<int>(0.2 / sample(1)), 1, 100);
    }
    [[nodiscard]] double hot() override { return sample(steps_); }
    [[nodiscard]] double timer_error() const override { return on_->timer().clock().error(); }

  private:
    [[nodiscard]] double sample(int steps) {
        if (meanwhile_ != host_does::wait_for_the_loss)
            return on_->step().steps_in_a_row(steps, meanwhile_ == host_does::upload_too) / steps;
        double sum = 0;
        for (int i = 0; i < steps; ++i) sum += on_->step().step();
        return sum / steps;
    }

    std::shared_ptr<open_plan> on_;
    step_options options_;
    host_does meanwhile_;
    int steps_ = 0; // in a sample
};

struct found_operation {
    case_description about;
    step_options options; // of the phase that has it first
    std::size_t node = 0;
};

// Those of one precision, batch and count of threads.
class case_finder {
  public:
    explicit case_finder(step_options common, bool on_host) : common_(std::move(common)), on_host_(on_host) {}

    void add_cases(case_list& to, const std::shared_ptr<open_plan>& on) {
        // Shapes are the same on each device, and `reference` prepares nothing.
        const auto device = kernels::make_backend("reference");
        const model::network network = model::make_resnet({});
        model::parameters parameters(*device, network, dtype_of(common_.precision));
        std::vector<found_step> steps;
        for (const step_kind& kind : kinds) {
            const step_options options = options_of(kind);
            // A pair that the device does as one has no times of its own: alone they are timed unfused.
            step_options unfused = options;
            if (!on_host_) unfused.fuse = "never";
            const auto photographs =
                options.resident ? std::make_unique<resident_photographs>(*device, options) : nullptr;
            const model::plan plan(parameters, network, plan_options_of(options, photographs.get()));
            find_operations(plan, kind.name, unfused);
            steps.push_back({describe_step(plan, kind.name), options});
        }
        for (const found_step& step : steps) {
            for (const found_operation& each : found_)
                if (each.about.phase == step.about.phase)
                    to.push_back(std::make_unique<operation_case>(each.about, on, each.options, each.node));
            add_steps(to, on, step);
        }
    }

  private:
    struct step_kind {
        const char* name;
        model::phase kind;
        bool augmented, resident;
    };
    // What a step has in common with the one before is timed there.
    static constexpr std::array kinds{
        step_kind{"unfrozen", model::phase::unfrozen, false, false},
        step_kind{"frozen", model::phase::frozen, false, false},
        step_kind{"evaluation", model::phase::evaluation, false, false},
        step_kind{"augmented", model::phase::unfrozen, true, false},
        step_kind{"resident", model::phase::unfrozen, false, true},
    };
    struct found_step {
        case_description about;
        step_options options;
    };

    [[nodiscard]] step_options options_of(const step_kind& step) const {
        step_options options = common_;
        options.phase = model::name_of(step.kind);
        options.augmented = step.augmented;
        options.resident = step.resident;
        return options;
    }
    [[nodiscard]] case_description describe(const std::string& group, const std::string& label,
                                            const std::string& phase) const {
        const std::string threads = on_host_ ? fmt::format("/t{}", common_.threads) : "";
        return {.name =
                    fmt::format("{}/{}/{}/b{}{}", group, label, common_.precision, common_.batch, threads),
                .group = group,
                .label = label,
                .shapes = {},
                .precision = common_.precision,
                .phase = phase,
                .batch = common_.batch,
                .threads = on_host_ ? common_.threads : 0};
    }

    void find_operations(const model::plan& plan, const std::string& phase, const step_options& options) {
        const auto& nodes = plan.nodes();
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            const kernels::operation_params& op = nodes[i].params;
            const auto [known, is_new] = known_.try_emplace(signature(op), found_.size());
            if (is_new) {
                case_description about = describe(std::string(kernels::name_of(op)), nodes[i].label, phase);
                // A phase may call another operation by the same layer's name.
                if (!names_.insert(about.name).second) {
                    about.label += " (" + phase + ")";
                    about.name = describe(about.group, nodes[i].label + "." + phase, phase).name;
                }
                const kernels::op_cost cost = kernels::cost_of(op);
                about.shapes = shapes_of(op);
                about.bytes = cost.bytes_read + cost.bytes_written;
                about.flops = cost.flops;
                about.has_cold = true;
                about.samples = 15;
                about.quick_samples = 5;
                found_.push_back({std::move(about), options, i});
            }
            ++found_[known->second].about.counts[phase];
        }
    }

    [[nodiscard]] case_description describe_step(const model::plan& plan, const std::string& phase) const {
        case_description about = describe("step", phase, phase);
        about.shapes = fmt::format("{}x{}", common_.size, common_.size);
        for (const model::plan::node& node : plan.nodes()) {
            const kernels::op_cost cost = kernels::cost_of(node.params);
            about.bytes += cost.bytes_read + cost.bytes_written;
            about.flops += cost.flops;
        }
        about.items = static_cast<double>(common_.batch);
        about.samples = 9;
        about.quick_samples = 3;
        return about;
    }

    // What the host does meanwhile makes a difference where the device works by itself.
    void add_steps(case_list& to, const std::shared_ptr<open_plan>& on, const found_step& found) const {
        const case_description& step = found.about;
        to.push_back(std::make_unique<step_case>(step, on, found.options, host_does::prepare_the_next));
        if (on_host_) return;
        for (const auto& [what, meanwhile] : {std::pair{"uploading", host_does::upload_too},
                                              std::pair{"waiting", host_does::wait_for_the_loss}}) {
            case_description about = describe("step", step.label + "." + what, step.phase);
            about.bytes = step.bytes;
            about.flops = step.flops;
            about.items = step.items;
            about.samples = step.samples;
            about.quick_samples = step.quick_samples;
            to.push_back(std::make_unique<step_case>(std::move(about), on, found.options, meanwhile));
        }
    }

    step_options common_;
    bool on_host_;
    std::vector<found_operation> found_; // in the order of the plans
    std::map<std::string, std::size_t> known_;
    std::set<std::string> names_;
};

} // namespace

void add_plan_cases(case_list& to, const suite_options& options) {
    const auto on = std::make_shared<open_plan>();
    for (const int threads : options.threads)
        for (const std::string& precision : options.precisions)
            for (const std::int64_t batch : options.batches)
                case_finder({.phase = {},
                             .batch = batch,
                             .size = options.size,
                             .precision = precision,
                             .device = options.device,
                             .threads = threads},
                            options.device != "cuda")
                    .add_cases(to, on);
}

} // namespace petnet::bench
