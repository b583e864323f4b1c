// SPDX-License-Identifier: Apache-2.0
#include "train/run.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/version.hpp"
#include "data/image_folder.hpp"
#include "data/labels.hpp"
#include "model/model_file.hpp"
#include "train/places.hpp"
#include "train/run_folder.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

namespace petnet::train {
namespace {

using nlohmann::json;

// Hands each report to several listeners.
class observers final : public observer {
  public:
    observers(observer& first, observer& second) : all_{&first, &second} {}
    void on_phase(const training_phase& phase) override { tell(&observer::on_phase, phase); }
    void on_step(const step_report& step) override { tell(&observer::on_step, step); }
    void on_validation(std::int64_t done, std::int64_t batches) override {
        tell(&observer::on_validation, done, batches);
    }
    void on_epoch(const epoch_report& epoch) override { tell(&observer::on_epoch, epoch); }
    void on_warning(std::string_view line) override { tell(&observer::on_warning, line); }

  private:
    template <typename... Parameters, typename... Arguments>
    void tell(void (observer::*what)(Parameters...), const Arguments&... arguments) {
        for (observer* each : all_) (each->*what)(arguments...);
    }
    std::array<observer*, 2> all_;
};

// JSON and safetensors hold UTF-8 only; file names on a disk may hold anything.
bool is_utf8(const std::string& text) {
    try {
        static_cast<void>(json(text).dump());
        return true;
    } catch (const json::type_error&) {
        return false;
    }
}

std::string dumped(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

std::optional<kernels::dtype> named_precision(std::string_view name) {
    if (name == "fp32") return kernels::dtype::f32;
    if (name == "bf16") return kernels::dtype::bf16;
    if (name == "fp16") return kernels::dtype::f16;
    return {};
}

void check(const train_options& options) {
    const auto require = [](bool holds, const char* rule) {
        if (!holds) throw usage_error(rule);
    };
    require(options.size >= 32 && options.size <= 4096, "--size must be between 32 and 4096 pixels");
    require(options.recipe == "basic", "--recipe must be basic (the augmented recipe is not built yet)");
    require(options.epochs >= 0 && options.freeze_epochs >= 0,
            "--epochs and --freeze-epochs must not be negative");
    require(options.lr > 0 && options.lr < 100, "--lr must be above 0");
    require(options.batch_size >= 2,
            "--batch-size must be at least 2: batch normalisation needs more than one photograph");
    constexpr std::int64_t most_epochs = 1'000'000; // their steps can be counted in 64 bits
    require(options.epochs <= most_epochs && options.freeze_epochs <= most_epochs,
            "--epochs and --freeze-epochs must not exceed 1000000");
    require(options.epochs + options.freeze_epochs > 0,
            "--epochs and --freeze-epochs are both 0: nothing to train");
    require(options.threads >= 0 && options.threads <= 1024, "--threads must be between 0 and 1024");
    require(options.max_bad_images >= 0 && options.max_bad_images <= 1,
            "--max-bad-images is a part of the photographs: it must lie between 0 and 1");
    require(is_utf8(options.labels), "--labels must be UTF-8 text");
    require(options.precision == "auto" || named_precision(options.precision),
            "--precision must be auto, fp32, bf16 or fp16");
}

kernels::dtype choose_precision(const std::string& name, const kernels::backend& device) {
    if (name == "auto") return device.fastest();
    const kernels::dtype precision = named_precision(name).value();
    if (!device.supports(precision))
        throw usage_error("--precision " + name + ": this device has no native " + name + " (" +
                          device.device() + "); use " +
                          (device.supports(kernels::dtype::bf16) ? "bf16 or fp32" : "fp32"));
    return precision;
}

struct weight_source {
    std::filesystem::path file; // empty: random
    std::string words;
};

weight_source find_weights(const train_options& options) {
    std::string name = options.weights;
    if (name.empty()) name = options.data.empty() ? "embedded" : "imagenet";
    if (name == "random") return {{}, "random"};
    if (name == "embedded")
        return {embedded_weights(), "embedded (pretrained on 59 animal classes of Tiny-ImageNet)"};
    if (name == "imagenet") return {imagenet_weights(), "ImageNet (torchvision)"};
    return {name, name};
}

// Names and sizes, not times: a restarted job finds its data copied anew and must still continue.
std::string fingerprint_of(const data::image_folder& folder) {
    std::string text;
    for (const data::photo_entry& photo : folder.photos)
        text += photo.name + '\0' + std::to_string(photo.bytes) + '\n';
    return sha256(std::as_bytes(std::span(text)));
}

json options_json(const train_options& o) {
    return {{"data", o.data.string()},
            {"labels", o.labels},
            {"weights", o.weights},
            {"size", o.size},
            {"recipe", o.recipe},
            {"epochs", o.epochs},
            {"freeze_epochs", o.freeze_epochs},
            {"lr", o.lr},
            {"batch_size", o.batch_size},
            {"valid_pct", o.valid_pct},
            {"valid_list", o.valid_list.string()},
            {"seed", o.seed},
            {"device", o.device},
            {"precision", o.precision},
            {"tf32", o.tf32},
            {"threads", o.threads},
            {"max_bad_images", o.max_bad_images},
            {"output", o.output.string()}};
}

// Everything that decides what is learned, and nothing that does not: a continued run may have other threads,
// and its folders may be mounted elsewhere.
std::string identity_of(json options, const std::string& data, const std::string& weights,
                        const data::image_folder& folder, const data::photo_split& split) {
    for (const char* free : {"data", "weights", "valid_list", "threads", "output"}) options.erase(free);
    std::string validation;
    for (const std::size_t index : split.valid) validation += folder.photos[index].name + "\n";
    const std::string text = dumped(options) + data + weights + sha256(std::as_bytes(std::span(validation)));
    return sha256(std::as_bytes(std::span(text)));
}

double guess_error(const std::vector<std::int32_t>& labels, const data::photo_split& split,
                   std::size_t classes) {
    // The larger class of the training photographs, asked about the validation photographs.
    std::vector<std::size_t> counts(classes);
    for (const std::size_t i : split.train) ++counts[static_cast<std::size_t>(labels[i])];
    const auto largest = std::ranges::max_element(counts) - counts.begin();
    const auto right =
        std::ranges::count_if(split.valid, [&](std::size_t i) { return labels[i] == largest; });
    return 1.0 - static_cast<double>(right) / static_cast<double>(split.valid.size());
}

// A checkpoint is a file from outside like any other.
void require_position(const training_position& at, const std::vector<training_phase>& phases,
                      std::int64_t steps_per_epoch, const std::filesystem::path& file) {
    const bool within = at.phase >= 0 && at.phase < static_cast<std::int64_t>(phases.size()) &&
                        at.epoch >= 0 && at.epoch < phases[static_cast<std::size_t>(at.phase)].epochs &&
                        at.step_in_epoch >= 0 && at.step_in_epoch <= steps_per_epoch && at.step >= 0 &&
                        at.train_loss.count >= 0;
    if (!within)
        throw input_error(file.string() + " is damaged: it says to continue where this run has no step");
}

std::string now_utc() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

} // namespace

run_result run_training(const train_options& options, run_observer& listener,
                        const std::function<bool()>& stop_requested) {
    const auto start = std::chrono::steady_clock::now();
    const auto seconds = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    check(options);
    const data::label_rule rule = data::label_rule::parse(options.labels);

    // Photographs first: the commonest mistakes are in them, and nothing before this takes time.
    const std::filesystem::path data_folder = options.data.empty() ? sample_folder() : options.data;
    data::image_folder folder = data::open_image_folder(data_folder);
    const data::photo_labels labels = data::label_photos(folder, rule);
    for (const std::string& name : labels.class_names)
        if (!is_utf8(name))
            throw input_error("the class name \"" + name +
                              "\" is not UTF-8 text: rename its files or folder");
    const data::photo_split split =
        options.valid_list.empty() ? data::random_split(folder.photos.size(), options.valid_pct, options.seed)
                                   : data::split_by_list(folder, options.valid_list);

    // All that can be refused is refused before the output folder is touched.
    const std::size_t steps_per_epoch = data::batch_count(data::pass::train, split.train.size(),
                                                          static_cast<std::size_t>(options.batch_size));
    if (steps_per_epoch == 0)
        throw usage_error("the " + std::to_string(split.train.size()) +
                          " training photographs do not fill one batch of " +
                          std::to_string(options.batch_size) + ": choose a smaller --batch-size");
    data::require_few_broken(folder.root, folder.broken, folder.photos.size() + folder.broken.size(),
                             options.max_bad_images);

    const weight_source source = find_weights(options);
    const auto warn = [&](const std::string& line) { listener.on_warning(line); };
    const std::unique_ptr<kernels::backend> device =
        kernels::make_backend(options.device, {.threads = options.threads,
                                               .on_departure = warn,
                                               .on_warning = warn,
                                               .tf32 = options.tf32,
                                               .cache_folder = cache_folder()});
    const kernels::dtype activations = choose_precision(options.precision, *device);

    model::network_config config;
    config.classes = static_cast<std::int64_t>(labels.class_names.size());
    const model::network network = model::make_resnet(config);
    model::parameters parameters(*device, network, activations);
    std::string weights_hash = "random";
    model::initialise(parameters, options.seed,
                      source.file.empty() ? model::initialise_part::everything
                                          : model::initialise_part::head);
    if (!source.file.empty()) {
        const mapped_file bytes(source.file);
        weights_hash = sha256(bytes.bytes());
        const model::loaded_weights loaded =
            model::load_weights(parameters, model::read_weight_file(source.file), source.file.string());
        if (!loaded.ignored.empty())
            listener.on_warning(source.file.string() + ": " + std::to_string(loaded.ignored.size()) +
                                " tensors have no place in ResNet-34 and are ignored, the first is " +
                                loaded.ignored[0]);
    }

    const std::string data_fingerprint = fingerprint_of(folder);
    run_folder output(options.output, options.resume,
                      identity_of(options_json(options), data_fingerprint, weights_hash, folder, split));

    run_summary summary;
    summary.data =
        options.data.empty() ? "the embedded sample of the Oxford-IIIT Pet data set" : data_folder.string();
    summary.weights = source.words;
    summary.device = device->name() + ": " + device->device();
    summary.precision = kernels::name_of(activations);
    summary.photographs = folder.photos.size();
    summary.skipped = folder.skipped.size();
    summary.broken = folder.broken.size();
    summary.train = split.train.size();
    summary.valid = split.valid.size();
    summary.classes = labels.class_names;
    summary.guess_error = guess_error(labels.of_photo, split, labels.class_names.size());
    summary.output = output.path();
    summary.moved_to = output.moved_to();

    json record{
        {"petnet", version()},
        {"status", "running"},
        {"started", now_utc()},
        {"options", options_json(options)},
        {"seed", options.seed},
        {"device", summary.device},
        {"precision", summary.precision},
        {"classes", labels.class_names},
        {"photographs", {{"train", summary.train}, {"valid", summary.valid}, {"skipped", summary.skipped}}},
        {"guess_error", summary.guess_error},
        {"weights", {{"source", source.words}, {"sha256", weights_hash}}},
        {"data", {{"folder", data_folder.string()}, {"names_and_sizes_sha256", data_fingerprint}}},
        {"identity", output.identity()}};

    std::vector<std::string> validation_names;
    for (const std::size_t index : split.valid) validation_names.push_back(folder.photos[index].name);

    data::photo_store photos(std::move(folder), {.image_size = static_cast<std::size_t>(options.size),
                                                 .max_broken = options.max_bad_images});

    output.write_run(record); // first: a restart knows by it whose folder this is

    training_position position;
    std::uint64_t metrics_bytes = 0;
    const std::vector<training_phase> phases =
        fine_tune_phases(options.epochs, options.lr, options.freeze_epochs);
    if (output.resumed()) {
        position = output.resumed()->info.position;
        metrics_bytes = output.resumed()->info.metrics_bytes;
        require_position(position, phases, static_cast<std::int64_t>(steps_per_epoch), output.resumed_from());
        model::restore_state(parameters, output.resumed()->state, output.resumed_from().string());
        summary.resumed = true;
        for (std::int64_t i = 0; i < position.phase; ++i)
            summary.resumed_epoch += phases[static_cast<std::size_t>(i)].epochs;
        summary.resumed_epoch += position.epoch;
        output.forget_resumed();
    }
    metrics_log metrics(output.metrics_file(), metrics_bytes);
    observers both(metrics, listener);
    fine_tuner tuner({.parameters = parameters,
                      .network = network,
                      .photos = photos,
                      .labels = labels.of_photo,
                      .split = split,
                      .phases = phases,
                      .batch_size = options.batch_size,
                      .image_size = options.size,
                      .seed = options.seed,
                      .activations = activations,
                      .loader_threads = static_cast<unsigned>(options.threads)},
                     both);
    summary.epochs = tuner.epochs();
    output.write_valid_list(validation_names);
    listener.on_start(summary);

    checkpoint_writer checkpoints(output.checkpoint_file());
    const double seconds_to_first_step = seconds();
    std::size_t broken_told = summary.broken;
    const auto save = [&](const training_position& at, bool end_of_epoch) {
        if (const std::vector<data::broken_photo> broken = photos.broken(); broken.size() > broken_told) {
            broken_told = broken.size();
            listener.on_warning(
                std::to_string(broken_told) +
                " photographs are broken and were left out; run.json names them, the first is " +
                broken.front().reason);
        }
        if (at.phase == static_cast<std::int64_t>(phases.size())) return; // the model itself comes next
        checkpoints.write(parameters, {at, output.identity(), metrics.bytes()});
        if (!end_of_epoch) checkpoints.wait();
    };
    const bool finished = tuner.run(position, {stop_requested, save});
    checkpoints.wait();

    record["status"] = finished ? "finished" : "interrupted";
    record["broken"] = json::array();
    for (const data::broken_photo& photo : photos.broken())
        record["broken"].push_back({{"file", photo.name}, {"reason", photo.reason}});
    if (const auto hash = photos.data_hash()) record["data"]["sha256"] = *hash;
    record["seconds"] = {{"to_first_step", seconds_to_first_step}, {"total", seconds()}};
    record["ended"] = now_utc();
    if (finished) {
        model::write_safetensors(output.model_file(), model::collect_state(parameters, false),
                                 {{"format", "pt"}, // what PyTorch's loaders expect of a safetensors file
                                  {"classes", json(labels.class_names).dump()},
                                  {"size", std::to_string(options.size)},
                                  {"mean", json(model::plan_options{}.mean).dump()},
                                  {"std", json(model::plan_options{}.deviation).dump()},
                                  {"recipe", options.recipe},
                                  {"labels", options.labels}});
        record["model_sha256"] = sha256(mapped_file(output.model_file()).bytes());
    }
    output.write_run(record);
    if (finished) output.remove_checkpoint();
    return {finished, finished ? output.model_file() : std::filesystem::path()};
}

} // namespace petnet::train
