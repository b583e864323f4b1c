// SPDX-License-Identifier: Apache-2.0
// fine_tune: the two phases, epoch by epoch, step by step.
#pragma once

#include "data/loader.hpp"
#include "data/split.hpp"
#include "model/parameters.hpp"
#include "model/plan.hpp"
#include "train/observer.hpp"
#include "train/schedule.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace petnet::train {

// Where a run stands, between two steps; with the parameters and Adam's moments, all that a resume needs.
struct training_position {
    std::int64_t phase = 0;         // index into the phases; their number: finished
    std::int64_t epoch = 0;         // within the phase
    std::int64_t step_in_epoch = 0; // steps done; all of them: the validation is next
    std::int64_t step = 0;          // over the whole run
    smoothed_loss train_loss;       // of the phase
};

struct fine_tune_setup {
    model::parameters& parameters;
    const model::network& network;
    data::photo_store& photos;
    const std::vector<std::int32_t>& labels; // of every photograph of the folder
    const data::photo_split& split;
    std::vector<training_phase> phases;
    std::int64_t batch_size = 64, image_size = 224;
    std::uint64_t seed = 42;
    kernels::dtype activations = kernels::dtype::f32;
    unsigned loader_threads = 0; // 0: one for each core
};

// Of so many training photographs; usage_error where they do not fill one batch, or a batch has one
// photograph.
[[nodiscard]] std::int64_t steps_per_epoch(std::size_t photographs, std::int64_t batch_size);

class fine_tuner {
  public:
    // Errors as of steps_per_epoch.
    fine_tuner(fine_tune_setup setup, observer& listener);

    struct hooks {
        std::function<bool()> stop_requested; // asked after each step and each validation batch
        // At a stop, and at the end of every epoch but the last, after which the run ends.
        std::function<void(const training_position&, bool end_of_epoch)> checkpoint;
    };

    // Continues from `position` (a new one starts at the beginning) to the end, or until a stop is requested:
    // then false, and the checkpoint hook has been called with where it stopped. A run that was stopped and
    // continued gives the same bits as one that was not. input_error where too many photographs are broken,
    // or all that validate.
    [[nodiscard]] bool run(training_position& position, const hooks& calls);

    [[nodiscard]] std::int64_t epochs() const; // over all phases

  private:
    [[nodiscard]] model::plan_options plan_options(model::phase kind) const;
    [[nodiscard]] bool train_epoch(training_position& position, model::plan& plan, std::int64_t run_epoch,
                                   const hooks& calls, epoch_report& report);
    // False where a stop was requested.
    [[nodiscard]] bool validate(model::plan& plan, const hooks& calls, epoch_report& report);
    [[nodiscard]] std::string first_broken() const; // of those that validate: why
    void upload(model::plan& plan, const data::photo_batch& batch) const;
    void upload_row_keys(model::plan& plan, const data::photo_batch& batch, std::int64_t run_epoch) const;

    fine_tune_setup setup_;
    observer& listener_;
    kernels::backend& device_;
    std::int64_t steps_per_epoch_;
};

} // namespace petnet::train
