// SPDX-License-Identifier: Apache-2.0
#include "bench/step_under_test.hpp"

#include "base/cache_folder.hpp"
#include "base/errors.hpp"
#include "base/random.hpp"
#include "data/augment.hpp"
#include "data/resize.hpp"
#include "train/schedule.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <span>

namespace petnet::bench {
namespace {

model::phase phase_named(const std::string& name) {
    for (const model::phase p : {model::phase::frozen, model::phase::unfrozen, model::phase::evaluation})
        if (name == model::name_of(p)) return p;
    throw usage_error("unknown phase " + name + ": expected frozen, unfrozen or evaluation");
}

kernels::fusion fusion_named(const std::string& name) {
    if (name == "never") return kernels::fusion::never;
    if (name == "faster") return kernels::fusion::when_faster;
    if (name == "always") return kernels::fusion::always;
    throw usage_error("unknown " + name + ": expected --fuse never, faster or always");
}

data::half_resized frame_of(const step_options& options) {
    return data::half_resized_frame(500, 375, static_cast<std::size_t>(options.size));
}

data::half_resized random_photograph(const step_options& options, const random_key& key) {
    data::half_resized photo = frame_of(options);
    for (std::size_t i = 0; i < photo.pixels.size(); ++i)
        photo.pixels[i] = static_cast<std::uint8_t>(key.bits(i) & 0xFFU);
    return photo;
}

std::size_t bytes_for(const step_options& options) {
    const auto batch = static_cast<std::size_t>(options.batch);
    return train::device_photographs::least_bytes(static_cast<std::size_t>(options.size), batch) +
           batch * train::device_photographs::bytes_of(frame_of(options));
}

} // namespace

kernels::dtype dtype_of(const std::string& precision) {
    if (precision == "fp32" || precision == "tf32") return kernels::dtype::f32;
    if (precision == "bf16") return kernels::dtype::bf16;
    if (precision == "fp16") return kernels::dtype::f16;
    throw usage_error("unknown precision " + precision + ": expected fp32, tf32, bf16 or fp16");
}

resident_photographs::resident_photographs(kernels::backend& device, const step_options& options)
    : memory_(device, static_cast<std::size_t>(options.batch), static_cast<std::size_t>(options.size),
              static_cast<std::size_t>(options.batch), bytes_for(options)) {
    batch_.count = static_cast<std::size_t>(options.batch);
    batch_.forms.assign(batch_.count, data::photo_form::whole);
    const random_key key(3);
    for (std::size_t i = 0; i < batch_.count; ++i) {
        batch_.indices.push_back(i);
        batch_.fractions.push_back(key.child(i).uniform(0));
        batch_.whole.push_back(
            std::make_shared<data::half_resized>(random_photograph(options, key.child(i))));
    }
}

model::plan_options plan_options_of(const step_options& options, const resident_photographs* photographs) {
    model::plan_options plan{.kind = phase_named(options.phase),
                             .batch = options.batch,
                             .height = options.size,
                             .width = options.size,
                             .activations = dtype_of(options.precision),
                             .photo_size = options.augmented ? data::presized(options.size) : 0};
    if (photographs != nullptr) {
        plan.photo_store = photographs->memory().store();
        plan.cut_tables = photographs->memory().tables();
    }
    return plan;
}

std::unique_ptr<kernels::backend> device_for(const step_options& options) {
    auto device = kernels::make_backend(
        options.device,
        {.threads = options.threads,
         .on_departure = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); },
         .on_warning = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); },
         .tf32 = options.precision == "tf32",
         .fuse = fusion_named(options.fuse),
         .cache_folder = cache_folder()});
    if (!device->supports(dtype_of(options.precision)))
        throw usage_error("no native " + options.precision + " on " + device->device());
    return device;
}

void add_options(CLI::App& program, step_options& options) {
    program.add_option("--phase", options.phase, "frozen, unfrozen or evaluation")->capture_default_str();
    program.add_option("--batch", options.batch, "photographs")->capture_default_str();
    program.add_option("--size", options.size, "their side in pixels")->capture_default_str();
    program.add_option("--precision", options.precision, "fp32, tf32, bf16 or fp16")->capture_default_str();
    program.add_option("--device", options.device, "auto, cuda, cpu, reference")->capture_default_str();
    program.add_option("--threads", options.threads, "processor threads; 0: all")->capture_default_str();
    program
        .add_option("--fuse", options.fuse, "pairs of operations as one: never, where that is faster, always")
        ->capture_default_str();
}

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

step_under_test::step_under_test(const step_options& options)
    : device_(device_for(options)),
      network_(model::make_resnet({})),
      parameters_(*device_, network_, dtype_of(options.precision)),
      photographs_(options.resident ? std::make_unique<resident_photographs>(*device_, options) : nullptr),
      plan_(parameters_, network_, plan_options_of(options, photographs_.get())),
      memory_(device_->allocate(plan_.memory_bytes())) {
    model::initialise(parameters_, 1);
    parameters_.clear_moments();
    const double start = seconds_now();
    plan_.bind(memory_.get());
    seconds_to_prepare_ = seconds_now() - start;

    const random_key key(2);
    if (!photographs_) {
        pixels_.resize(static_cast<std::size_t>(plan_.pixels().desc.dims.elements()));
        for (std::size_t i = 0; i < pixels_.size(); ++i)
            pixels_[i] = static_cast<std::byte>(key.bits(i) & 0xFFU);
    }
    upload_pixels();
    target_.resize(static_cast<std::size_t>(options.batch));
    for (std::size_t i = 0; i < target_.size(); ++i) target_[i] = static_cast<std::int32_t>(i % 2);
    device_->write_bytes(plan_.target(), std::as_bytes(std::span(target_)));
    if (plan_.transforms().present()) {
        std::vector<float> unchanged; // the identity, no other light
        for (std::int64_t i = 0; i < options.batch; ++i)
            unchanged.insert(unchanged.end(), {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1});
        device_->write(plan_.transforms(), std::span<const float>(unchanged));
    }
    row_keys_.resize(target_.size());
    for (std::size_t i = 0; i < row_keys_.size(); ++i) row_keys_[i] = key.child(i).value();
    if (plan_.row_keys().present())
        device_->write_bytes(plan_.row_keys(), std::as_bytes(std::span(row_keys_)));
}

void step_under_test::upload_pixels() {
    if (photographs_)
        photographs_->upload(plan_);
    else
        device_->upload_bytes(plan_.pixels(), pixels_);
}

void step_under_test::upload_settings() {
    ++steps_done_;
    if (!plan_.settings().present()) return;
    const train::hyperparameters hyper{{1e-5, 1e-5, 1e-4}, 0.9};
    device_->upload(plan_.settings(), std::span<const double>(train::adam_settings(hyper, steps_done_)));
}

double step_under_test::step() {
    const double start = seconds_now();
    upload_settings();
    plan_.execute();
    float loss = 0;
    device_->read(plan_.loss(), std::span<float>(&loss, 1));
    return seconds_now() - start;
}

double step_under_test::steps_in_a_row(int steps, bool uploads) {
    struct started_step {
        float loss = 0;
        kernels::work_mark done = 0;
    };
    std::array<started_step, 2> started; // reads in flight hold the addresses of `loss`
    device_->wait(device_->mark());
    const double start = seconds_now();
    for (int i = 0; i < steps; ++i) {
        started_step& current = started[static_cast<std::size_t>(i) % 2];
        if (uploads) {
            upload_pixels();
            device_->upload_bytes(plan_.target(), std::as_bytes(std::span(target_)));
            if (plan_.row_keys().present())
                device_->upload_bytes(plan_.row_keys(), std::as_bytes(std::span(row_keys_)));
        }
        upload_settings();
        plan_.execute();
        device_->read_later(plan_.loss(), std::span<float>(&current.loss, 1));
        current.done = device_->mark();
        if (i > 0) device_->wait(started[static_cast<std::size_t>(i - 1) % 2].done);
    }
    device_->wait(started[static_cast<std::size_t>(steps - 1) % 2].done);
    return seconds_now() - start;
}

} // namespace petnet::bench
