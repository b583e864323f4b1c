// SPDX-License-Identifier: Apache-2.0
// A checkpoint of ResNet-34 with Adam's moments, from the parameters to the disk (flushed) in the folder for
// temporary files.
#include "bench/step_under_test.hpp"
#include "bench/suite.hpp"
#include "model/model_file.hpp"
#include "train/checkpoint.hpp"

#include <filesystem>
#include <unistd.h>

namespace petnet::bench {
namespace {

class checkpoint_case final : public bench_case {
  public:
    using bench_case::bench_case;
    ~checkpoint_case() override {
        std::error_code ignored;
        std::filesystem::remove(file_, ignored);
    }

    void prepare() override {
        if (parameters_) return;
        device_ = kernels::make_backend("reference");
        network_ = model::make_resnet({});
        parameters_ = std::make_unique<model::parameters>(*device_, network_, kernels::dtype::f32);
        model::initialise(*parameters_, 1);
        parameters_->clear_moments();
        static_cast<void>(hot()); // the file is there from now on, to be replaced
    }
    [[nodiscard]] double hot() override {
        const double began = seconds_now();
        train::write_checkpoint(file_, model::collect_state(*parameters_, true), {});
        return seconds_now() - began;
    }

  private:
    std::filesystem::path file_ = std::filesystem::temp_directory_path() /
                                  ("petnet-bench-" + std::to_string(::getpid()) + ".safetensors");
    std::unique_ptr<kernels::backend> device_;
    model::network network_;
    std::unique_ptr<model::parameters> parameters_;
};

} // namespace

void add_checkpoint_case(case_list& to) {
    const auto device = kernels::make_backend("reference");
    const model::network network = model::make_resnet({});
    const model::parameters parameters(*device, network, kernels::dtype::f32);
    double bytes = 0; // values and two moments
    for (const model::parameter& each : parameters.trained())
        bytes += 3.0 * sizeof(float) * static_cast<double>(each.value.desc.dims.elements());
    to.push_back(std::make_unique<checkpoint_case>(case_description{.name = "checkpoint/write",
                                                                    .group = "checkpoint",
                                                                    .label = "write",
                                                                    .shapes = "with Adam's moments",
                                                                    .precision = {},
                                                                    .phase = {},
                                                                    .threads = 1,
                                                                    .bytes = bytes,
                                                                    .samples = 5,
                                                                    .quick_samples = 3}));
}

} // namespace petnet::bench
