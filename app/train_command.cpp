// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/input_options.hpp"
#include "app/progress.hpp"
#include "app/stop_signal.hpp"
#include "base/errors.hpp"
#include "train/run.hpp"
#include "train/scheduled_events.hpp"

#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>

namespace petnet::app {
namespace {

struct train_arguments {
    train::train_options options;
    std::string config, scheduled_events = "auto";
    bool quiet = false;
};

bool is_set(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0';
}

// Azure's notices that this machine will be taken away, as wishes of the training. Elsewhere such a notice is
// a SIGTERM. A job of Azure ML that exits has ended and is not started again, so there the state is saved and
// the training goes on until the machine is gone, or for good where the notice is withdrawn.
class preemption {
  public:
    preemption(const std::string& setting, train::observer& listener)
        : listener_(listener), asked_for_(setting != "auto"), stays_(is_set("AZUREML_RUN_ID")) {
        const bool on = setting == "auto" ? is_set("AZ_BATCHAI_CLUSTER_NAME") : setting != "off";
        if (on) events_.emplace(asked_for_ ? setting : train::scheduled_events::azure_address);
    }

    [[nodiscard]] bool stop() {
        if (!events_) return false;
        if (const std::string failure = events_->take_failure(); asked_for_ && !failure.empty())
            listener_.on_warning(failure + ": the training goes on without");
        if (stays_ || !events_->announced()) return false;
        if (events_->take_announcement()) tell_announcement();
        return true;
    }
    [[nodiscard]] bool checkpoint() {
        const bool announced = events_ && stays_ && events_->take_announcement();
        if (announced) tell_announcement();
        return announced;
    }

  private:
    void tell_announcement() {
        listener_.on_warning("this machine is about to be taken away: a checkpoint is saved");
    }

    train::observer& listener_;
    bool asked_for_, stays_;
    std::optional<train::scheduled_events> events_;
};

// While another thread waits for a device that waits for a process that is gone.
[[noreturn]] void abandon(const std::string& why) {
    tell("petnet: {}\n", why);
    ::_exit(environment_error("").exit_code());
}

void run_train(const train_arguments& arguments, exit_status& status) {
    check_weights(arguments.options.weights);
    progress watcher(arguments.quiet);
    watch_stop_signals();
    preemption notices(arguments.scheduled_events, watcher);
    try {
        const train::run_result result =
            train::run_training(arguments.options, watcher,
                                {.stop = [&] { return stop_signal() != 0 || notices.stop(); },
                                 .checkpoint = [&] { return notices.checkpoint(); },
                                 .abandon = abandon});
        if (result.finished) {
            if (!arguments.quiet && result.leads) tell("The model is in {}\n", result.model.string());
            return;
        }
        if (result.leads) tell("Interrupted: a checkpoint is saved, the same command continues from it.\n");
    } catch (const data::work_stopped&) {
        tell("Interrupted: what was downloaded is kept, the same command continues from it.\n");
    }
    status.code = 128 + (stop_signal() != 0 ? stop_signal() : SIGTERM);
}

} // namespace

void add_train(CLI::App& program, exit_status& status) {
    CLI::App* command = program.add_subcommand("train", "fine-tune ResNet-34 on a folder of photographs");
    const auto arguments = std::make_shared<train_arguments>();
    train::train_options& o = arguments->options;
    add_input_options(*command, o);
    const auto add = [&](const char* group, const char* name, auto& value, const char* help) {
        return add_option(*command, group, name, value, help);
    };
    add("Training", "--epochs", o.epochs, "epochs with everything training");
    add("Training", "--freeze-epochs", o.freeze_epochs,
        "epochs before, with the pretrained convolutions frozen");
    add("Training", "--lr", o.lr, "base learning rate, as fastai's fine_tune");
    add("Files", "--output", o.output, "folder for the model, logs and checkpoints")
        ->option_text("DIR=outputs");
    add("Files", "--resume", o.resume,
        "auto: continue an unfinished run of the same options in the output folder; never; or a checkpoint "
        "file")
        ->type_name("auto|never|FILE");
    add("Files", "--checkpoint-minutes", o.checkpoint_minutes,
        "so often one is saved within an epoch, besides that at its end; 0: never");
    add("Machine", "--scheduled-events", arguments->scheduled_events,
        "ask Azure whether this machine is to be taken away: auto (on Azure ML's machines), off, or the "
        "service's URL")
        ->option_text("auto|off|URL");
    add("Files", "--logs", o.logs,
        "folder for TensorBoard's event files, or none; MLFLOW_TRACKING_URI names an MLflow server")
        ->option_text("DIR");
    add_config_option(*command, arguments->config);
    command->add_flag("--quiet", arguments->quiet, "only the table of epochs")
        ->group("Files")
        ->envname("PETNET_QUIET");
    command->footer(
        "Every option can also come from the environment (PETNET_BATCH_SIZE=32) or from --config.\n"
        "Examples:\n"
        "  petnet train                                     the embedded sample, offline\n"
        "  petnet train --data pets                         cat or dog from ImageNet weights, as fastai's "
        "quick start\n"
        "  petnet train --data pets --labels breed --epochs 4 --lr 3e-3\n"
        "  petnet train --data my-photos --labels folder --output run1\n"
        "  mpirun -n 4 petnet train --batch-size 64         four processes, 16 photographs of each batch for "
        "each\n"
        "Several processes started by mpirun, torchrun or Azure ML train together; rank 0 writes and "
        "prints.");
    command->callback([arguments, &status] { run_train(*arguments, status); });
}

} // namespace petnet::app
