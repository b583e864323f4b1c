// SPDX-License-Identifier: Apache-2.0
#include "infer/classifier.hpp"

#include "base/cache_folder.hpp"
#include "base/errors.hpp"
#include "data/resized_photo.hpp"
#include "kernels/precision.hpp"
#include "model/model_file.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace petnet::infer {

// Prepared at its first use.
struct classifier::sized_plan {
    sized_plan(model::parameters& parameters, const model::network& network,
               const model::plan_options& options)
        : plan(parameters, network, options), rows(static_cast<std::size_t>(options.batch)) {}

    model::plan plan;
    std::size_t rows;
    bool bound = false;
    // Of a run that does not fill the plan; the rest is black.
    std::vector<std::uint8_t> filled_squares;
    std::vector<double> filled_transforms;
    std::vector<float> logits;
};

namespace {

std::int64_t checked_batch(std::int64_t batch_size) {
    if (batch_size < 1 || batch_size > 65536)
        throw usage_error("--batch-size must be between 1 and 65536 photographs");
    return batch_size;
}

// `values` and zeros behind them, in `storage` where it is not whole already.
template <class Value>
std::span<const Value> filled(std::span<const Value> values, std::size_t size, std::vector<Value>& storage) {
    if (values.size() == size) return values;
    storage.assign(size, Value{});
    std::ranges::copy(values, storage.begin());
    return storage;
}

} // namespace

classifier::classifier(const std::filesystem::path& model_file, const classifier_options& options)
    : batch_size_(checked_batch(options.batch_size)) {
    const model::weight_file weights = model::read_weight_file(model_file);
    description_ = model::describe(weights, model_file.string());
    const auto warn = options.on_warning ? options.on_warning : [](const std::string&) {};
    device_ = kernels::make_backend(options.device, {.threads = options.threads,
                                                     .on_departure = warn,
                                                     .on_warning = warn,
                                                     .cache_folder = cache_folder()});
    activations_ = kernels::choose_precision(options.precision, *device_);
    model::network_config config;
    config.classes = static_cast<std::int64_t>(classes());
    network_ = model::make_resnet(config);
    parameters_ =
        std::make_unique<model::parameters>(*device_, network_, activations_, model::optimizer_state::absent);
    if (!model::load_weights(*parameters_, weights, model_file.string()).head)
        throw input_error(model_file.string() + ": the head for " + std::to_string(classes()) +
                          " classes is missing or of another shape (a model.safetensors of petnet train was "
                          "expected)");

    model::plan_options plan{.kind = model::phase::evaluation,
                             .height = description_.size,
                             .width = description_.size,
                             .activations = activations_,
                             .photo_size = samples() ? description_.photo_size : 0,
                             .mean = description_.mean,
                             .deviation = description_.deviation};
    std::size_t bytes = 0;
    for (std::int64_t rows = 1;; rows = std::min(2 * rows, batch_size_)) {
        plan.batch = rows;
        for (const bool transformed : {false, true}) {
            if (transformed && !(options.transforms && samples())) continue;
            plan.transformed = transformed;
            plans_.push_back(std::make_unique<sized_plan>(*parameters_, network_, plan));
            bytes = std::max(bytes, plans_.back()->plan.memory_bytes());
        }
        if (rows == batch_size_) break;
    }
    memory_ = device_->allocate(bytes);
}

classifier::~classifier() = default;

std::string classifier::device() const { return device_->name() + ": " + device_->device(); }
std::string classifier::precision() const { return kernels::name_of(activations_); }

std::size_t classifier::square_bytes() const {
    return static_cast<std::size_t>(3 * description_.photo_size * description_.photo_size);
}

void classifier::make_square(std::span<const std::byte> photograph, std::string_view display_name,
                             std::span<std::uint8_t> square) const {
    const data::half_resized half = data::resized_photo(
        photograph, display_name, static_cast<std::size_t>(description_.photo_size),
        description_.turned_by_exif ? data::orientation::by_exif : data::orientation::as_stored);
    data::cut_square(half, 0.5, square);
}

void classifier::prepare() {
    for (std::int64_t rows = 1;; rows = std::min(2 * rows, batch_size_)) {
        (void)classify(std::vector<std::uint8_t>(static_cast<std::size_t>(rows) * square_bytes()));
        if (rows == batch_size_) return;
    }
}

std::vector<float> classifier::classify(std::span<const std::uint8_t> squares) {
    return classify(squares, {});
}

std::vector<float> classifier::classify(std::span<const std::uint8_t> squares,
                                        std::span<const double> transforms) {
    constexpr auto columns = static_cast<std::size_t>(kernels::photo_transform_columns);
    const std::size_t count = squares.size() / square_bytes();
    if (count == 0 || squares.size() % square_bytes() != 0)
        throw std::logic_error("classify: whole squares were expected, at least one");
    if (!transforms.empty() && transforms.size() != count * columns)
        throw std::logic_error("classify: one row of transforms for each square was expected");
    std::vector<float> logits(count * classes());
    const auto most = static_cast<std::size_t>(batch_size_);
    for (std::size_t from = 0; from < count; from += most) {
        const std::size_t rows = std::min(most, count - from);
        run(plan_for(rows, !transforms.empty()),
            squares.subspan(from * square_bytes(), rows * square_bytes()),
            transforms.empty() ? transforms : transforms.subspan(from * columns, rows * columns),
            std::span(logits).subspan(from * classes(), rows * classes()));
    }
    return logits;
}

classifier::sized_plan& classifier::plan_for(std::size_t photographs, bool transformed) {
    const auto found = std::ranges::find_if(plans_, [&](const std::unique_ptr<sized_plan>& each) {
        return each->rows >= photographs && each->plan.transforms().present() == transformed;
    });
    if (found == plans_.end()) throw std::logic_error("classify: transforms were not asked for");
    sized_plan& chosen = **found;
    while (!chosen.bound) {
        try {
            chosen.plan.bind(memory_.get());
            chosen.bound = true;
        } catch (const kernels::out_of_device_memory&) {
            if (!device_->reduce_workspaces()) throw;
        }
    }
    return chosen;
}

void classifier::run(sized_plan& with, std::span<const std::uint8_t> squares,
                     std::span<const double> transforms, std::span<float> logits) {
    const model::plan& plan = with.plan;
    device_->upload_bytes(plan.pixels(),
                          std::as_bytes(filled(squares, with.rows * square_bytes(), with.filled_squares)));
    if (!transforms.empty())
        device_->upload(plan.transforms(), filled(transforms, with.rows * kernels::photo_transform_columns,
                                                  with.filled_transforms));
    // The plan ends with a loss, which nobody asks for here.
    const std::vector<std::int32_t> no_target(with.rows);
    device_->upload_bytes(plan.target(), std::as_bytes(std::span(no_target)));
    with.plan.execute();
    with.logits.resize(with.rows * classes());
    device_->read(plan.logits(), std::span<float>(with.logits));
    std::ranges::copy(std::span(with.logits).first(logits.size()), logits.begin());
}

} // namespace petnet::infer
