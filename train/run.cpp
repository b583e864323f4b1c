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
#include "train/run_identity.hpp"
#include "train/training_session.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

namespace petnet::train {
namespace {

using nlohmann::json;

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

// As decimals that read back to the same float32, not to the double nearest to it.
json shortest(std::span<const float> values) {
    json array = json::array();
    for (const float value : values) {
        std::array<char, 32> text{};
        const char* const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
        array.push_back(json::parse(std::string_view(text.data(), end)));
    }
    return array;
}

} // namespace

run_result run_training(const train_options& options, run_observer& listener,
                        const std::function<bool()>& stop_requested) {
    const auto start = std::chrono::steady_clock::now();
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
    static_cast<void>(steps_per_epoch(split.train.size(), options.batch_size));
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

    run_folder output(
        options.output, options.resume,
        identity_of(options, std::string(kernels::name_of(activations)), weights_hash, folder, split));

    run_summary summary;
    summary.data =
        options.data.empty() ? "the embedded sample of the Oxford-IIIT Pet data set" : data_folder.string();
    summary.weights = source.words;
    summary.device = device->name() + ": " + device->device();
    summary.precision = kernels::name_of(activations);
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
        {"options", options_json(options)},
        {"seed", options.seed},
        {"device", summary.device},
        {"precision", summary.precision},
        {"classes", labels.class_names},
        {"photographs", {{"train", summary.train}, {"valid", summary.valid}, {"skipped", summary.skipped}}},
        {"guess_error", summary.guess_error},
        {"weights", {{"source", source.words}, {"sha256", weights_hash}}},
        {"data", {{"folder", data_folder.string()}, {"names_and_sizes_sha256", folder.fingerprint()}}},
        {"identity", output.identity()}};

    std::vector<std::string> validation_names;
    for (const std::size_t index : split.valid) validation_names.push_back(folder.photos[index].name);
    data::photo_store photos(std::move(folder), {.image_size = static_cast<std::size_t>(options.size),
                                                 .max_broken = options.max_bad_images,
                                                  .turned = options.exif ? data::orientation::by_exif
                                                                         : data::orientation::as_stored,
                                                  .memory_limit = options.cache_memory,
                                                  .cache_folder = cache_folder()});

    training_session session(
        {.setup = {.parameters = parameters,
                   .network = network,
                   .photos = photos,
                   .labels = labels.of_photo,
                   .split = split,
                   .phases = fine_tune_phases(options.epochs, options.lr, options.freeze_epochs),
                   .batch_size = options.batch_size,
                   .image_size = options.size,
                   .seed = options.seed,
                   .activations = activations,
                   .loader_threads = static_cast<unsigned>(options.threads)},
         .output = output,
         .model_metadata = {{"format", "pt"}, // what PyTorch's loaders expect of safetensors
                            {"classes", json(labels.class_names).dump()},
                            {"size", std::to_string(options.size)},
                            {"mean", shortest(model::plan_options{}.mean).dump()},
                            {"std", shortest(model::plan_options{}.deviation).dump()},
                            {"recipe", options.recipe},
                            {"exif", options.exif ? "turned" : "ignored"},
                            {"labels", options.labels}},
         .validation_names = std::move(validation_names),
         .start = start},
        std::move(record), listener);
    return session.run(std::move(summary), stop_requested);
}

} // namespace petnet::train
