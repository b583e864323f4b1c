// SPDX-License-Identifier: Apache-2.0
#include "train/training_inputs.hpp"

#include "base/cache_folder.hpp"
#include "base/errors.hpp"
#include "base/files.hpp"
#include "data/augment.hpp"
#include "data/image_folder.hpp"
#include "kernels/precision.hpp"
#include "model/model_file.hpp"
#include "train/places.hpp"
#include "train/run_identity.hpp"
#include "train/stopwatch.hpp"

#include <algorithm>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace petnet::train {
namespace {

void check_inputs(const train_options& options) {
    const auto require = [](bool holds, const char* rule) {
        if (!holds) throw usage_error(rule);
    };
    require(options.size >= 32 && options.size <= 4096, "--size must be between 32 and 4096 pixels");
    require(options.recipe == "basic" || options.recipe == "augmented",
            "--recipe must be basic or augmented");
    require(options.threads >= 0 && options.threads <= 1024, "--threads must be between 0 and 1024");
    const double max_bad_images = options.max_bad_images.value_or(default_max_bad_images);
    require(max_bad_images >= 0 && max_bad_images <= 1,
            "--max-bad-images is a part of the photographs: it must lie between 0 and 1");
    require(options.split == "auto" || options.split == "random" || options.split == "folders",
            "--split must be auto, random or folders");
    require(options.split != "folders" || !options.valid_pct,
            "--valid-pct is of a random split: it does not go with --split folders");
    require(is_utf8(options.labels), "--labels must be UTF-8 text");
    require(options.precision == "auto" || kernels::named_precision(options.precision),
            "--precision must be auto, fp32, bf16 or fp16");
}

struct weight_source {
    model::weight_place place; // without a file: random
    std::string words;
};

weight_source find_weights(const train_options& options, const data::work_listener& fetching) {
    std::string name = options.weights;
    if (name.empty()) name = options.data.empty() ? "embedded" : "imagenet";
    if (name == "random") return {{}, "random"};
    if (name == "embedded")
        return {{embedded_weights(), {}}, "embedded (pretrained on 59 animal classes of Tiny-ImageNet)"};
    if (name == "imagenet") return {{imagenet_weights(fetching), {}}, "ImageNet (torchvision)"};
    return {model::place_of_weights(name), name};
}

// As fastai, which knows the classes of the training photographs only. A random split may leave a class none.
void require_trained_classes(const training_inputs& inputs, const data::image_folder& folder) {
    std::vector<bool> trained(inputs.labels.class_names.size());
    const auto class_of = [&](std::size_t photo) {
        return static_cast<std::size_t>(inputs.labels.of_photo[photo]);
    };
    for (const std::size_t photo : inputs.split.train) trained[class_of(photo)] = true;
    for (const std::size_t photo : inputs.split.valid)
        if (!trained[class_of(photo)])
            throw input_error(folder.path_of(photo).string() +
                              " is to validate, but no photograph to train is of its class \"" +
                              inputs.labels.class_names[class_of(photo)] + "\"");
}

// `marked`: what a table says of each photograph, or empty.
void split(training_inputs& inputs, const train_options& options, const data::dataset_folder& set,
           const std::vector<bool>& marked) {
    const data::image_folder& folder = set.photographs;
    if (!marked.empty()) {
        inputs.split = data::split_by_marks(marked, "the column " + options.columns.valid);
        inputs.split_words = "by the column " + options.columns.valid;
        require_trained_classes(inputs, folder);
    } else if (!options.valid_list.empty()) {
        inputs.split = data::split_by_list(folder, options.valid_list);
        inputs.split_words = "by " + options.valid_list.string();
    } else if (options.split == "folders" || (options.split == "auto" && set.split && !options.valid_pct)) {
        if (!set.split)
            throw input_error("--split folders: " + inputs.data_folder.string() +
                              " does not hold train/ and one of valid/, val/ and validation/");
        inputs.split = data::split_by_folders(folder, *set.split);
        inputs.split_words = "by " + set.split->train + "/ and " + set.split->valid + '/';
        require_trained_classes(inputs, folder);
    } else {
        inputs.split = data::random_split(folder.photos.size(), options.valid_pct.value_or(default_valid_pct),
                                          options.seed);
        inputs.split_words = "at random";
    }
}

// Labels the photographs and splits them, and says what is odd about both.
void label_and_split(training_inputs& inputs, const train_options& options, data::dataset_folder& set,
                     const std::function<void(const std::string&)>& warn) {
    inputs.label_rule = options.labels.empty() ? data::default_rule(set) : options.labels;
    data::labelled_photos labelled =
        data::label_dataset(set, inputs.data_folder, {inputs.label_rule, options.columns});
    if (!options.max_bad_images) data::require_no_lost_class(labelled);
    inputs.labels = std::move(labelled.labels);
    for (const std::string& name : inputs.labels.class_names)
        if (!is_utf8(name))
            throw input_error("the class name \"" + name +
                              "\" is not UTF-8 text: rename its files or folder");
    split(inputs, options, set, labelled.validates);
    for (const std::string& line : set.warnings()) warn(line);
    for (const std::string& line : labelled.warnings) warn(line);
    if (options.labels.empty() && inputs.label_rule != "cat-dog")
        warn("the photographs lie in folders, which are taken for their classes; --labels says otherwise");
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

} // namespace

training_inputs load_inputs(const train_options& options, const data::work_listener& fetching,
                            const std::function<void(const std::string&)>& warn, const process_place& place) {
    check_inputs(options);
    if (!options.labels.empty()) data::check_labelling({options.labels, options.columns});

    training_inputs inputs;
    stopwatch watch;
    inputs.data_folder = data_folder(options.data, fetching);
    data::dataset_folder set = data::open_dataset_folder(inputs.data_folder);
    label_and_split(inputs, options, set, warn);
    inputs.batch_size = batch_of_rank(options.batch_size, place.group.size());
    static_cast<void>(steps_per_epoch(inputs.split.train.size(), options.batch_size));
    inputs.augment = options.recipe == "augmented";
    const std::int64_t photo_size = inputs.augment ? data::presized(options.size) : options.size;
    inputs.photos = std::make_unique<data::photo_store>(
        std::move(set.photographs),
        data::store_options{.image_size = static_cast<std::size_t>(photo_size),
                            .max_broken = options.max_bad_images.value_or(default_max_bad_images),
                            .turned =
                                options.exif ? data::orientation::by_exif : data::orientation::as_stored,
                            .memory_limit = options.cache_memory,
                            .cache_folder = cache_folder()});
    inputs.seconds_photographs_opened = watch.seconds();

    const weight_source source = find_weights(options, fetching);
    watch = {};
    inputs.device = kernels::make_backend(options.device, {.threads = options.threads,
                                                           .processes = place.on_this_machine,
                                                           .on_departure = warn,
                                                           .on_warning = warn,
                                                           .tf32 = options.tf32,
                                                           .cache_folder = cache_folder()});
    inputs.activations = kernels::choose_precision(options.precision, *inputs.device);
    inputs.seconds_device = watch.seconds();

    watch = {};

    model::network_config config;
    config.classes = static_cast<std::int64_t>(inputs.labels.class_names.size());
    inputs.network = model::make_resnet(config);
    inputs.parameters =
        std::make_unique<model::parameters>(*inputs.device, inputs.network, inputs.activations);
    model::initialise(*inputs.parameters, options.seed,
                      source.place.file.empty() ? model::initialise_part::everything
                                                : model::initialise_part::head);
    inputs.weights = source.words;
    inputs.weights_hash = "random";
    if (const auto& [file, key] = source.place; !file.empty()) {
        const mapped_file bytes(file);
        inputs.weights_hash = sha256(bytes.bytes());
        inputs.weights_key = key;
        const model::loaded_weights loaded =
            model::load_weights(*inputs.parameters, model::read_weight_file(file, key), file.string());
        for (const std::string& choice : loaded.choices) warn(choice);
        if (!loaded.ignored.empty())
            warn(file.string() + ": " + std::to_string(loaded.ignored.size()) +
                 " tensors have no place in ResNet-34 and are ignored, the first is " + loaded.ignored[0]);
    }
    inputs.seconds_weights = watch.seconds();
    inputs.group = &place.group;
    inputs.image_size = options.size;
    inputs.seed = options.seed;
    inputs.loader_threads = static_cast<unsigned>(options.threads);
    if (inputs.loader_threads == 0 && place.on_this_machine > 1)
        inputs.loader_threads =
            std::max(1U, std::thread::hardware_concurrency() / static_cast<unsigned>(place.on_this_machine));
    return inputs;
}

training_setup setup_of(const training_inputs& inputs) {
    return {.parameters = *inputs.parameters,
            .network = inputs.network,
            .photos = *inputs.photos,
            .labels = inputs.labels.of_photo,
            .split = inputs.split,
            .batch_size = inputs.batch_size,
            .image_size = inputs.image_size,
            .augment = inputs.augment,
            .seed = inputs.seed,
            .activations = inputs.activations,
            .loader_threads = inputs.loader_threads,
            .group = *inputs.group};
}

run_summary summary_of(const training_inputs& inputs, const train_options& options) {
    run_summary summary;
    summary.data = options.data.empty() ? "the embedded sample of the Oxford-IIIT Pet data set"
                                        : inputs.data_folder.string();
    summary.weights = inputs.weights;
    summary.device = inputs.device->name() + ": " + inputs.device->device();
    summary.precision = kernels::name_of(inputs.activations);
    summary.split = inputs.split_words;
    summary.hidden = inputs.photos->folder().hidden;
    summary.skipped = inputs.photos->folder().skipped.size();
    summary.broken = inputs.photos->folder().broken.size();
    summary.train = inputs.split.train.size();
    summary.valid = inputs.split.valid.size();
    summary.classes = inputs.labels.class_names;
    summary.guess_error = guess_error(inputs.labels.of_photo, inputs.split, inputs.labels.class_names.size());
    return summary;
}

} // namespace petnet::train
