// SPDX-License-Identifier: Apache-2.0
// A trained model ready to classify: from squares of pixels to logits, on any device.
//
//     infer::classifier model("model.safetensors", {.batch_size = 16});
//     std::vector<std::uint8_t> square(model.square_bytes());
//     model.make_square(jpeg_bytes, "photo.jpg", square); // any thread, any number at once
//     const std::vector<float> logits = model.classify(square);   // one caller at a time
//     const std::vector<double> p = infer::probabilities_of(logits);   // in the order of
//     model.description().classes
#pragma once

#include "kernels/backend.hpp"
#include "model/model_description.hpp"
#include "model/network.hpp"
#include "model/parameters.hpp"
#include "model/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::infer {

struct classifier_options {
    std::string device = "auto"; // as make_backend names it
    // fp32, bf16, fp16, or auto: the fastest the device has. fp32 gives the logits that PyTorch and ONNX
    // Runtime give of the exported model, within rounding.
    std::string precision = "fp32";
    int threads = 0; // of the processor, for the network; 0: all that the process may use
    std::int64_t batch_size =
        32;                  // most photographs that go through the network at once; memory grows with it
    bool transforms = false; // classify() will be given transforms
    std::function<void(const std::string&)> on_warning; // what is only odd; may be empty
};

class classifier {
  public:
    // Reads the file of `petnet train` (safetensors with the metadata of model_description.hpp; float32 or
    // float16), names of tensors as weight_names.hpp knows them. input_error: it is no such file;
    // usage_error: options that the device has not; environment_error: the device, or its memory.
    classifier(const std::filesystem::path& model_file, const classifier_options& options);
    ~classifier();
    classifier(const classifier&) = delete; // its plans are bound to addresses
    classifier& operator=(const classifier&) = delete;

    [[nodiscard]] const model::model_description& description() const { return description_; }
    [[nodiscard]] std::size_t classes() const { return description_.classes.size(); }
    [[nodiscard]] std::int64_t batch_size() const { return batch_size_; }
    [[nodiscard]] std::string device() const;    // "cpu: AMD EPYC, ..."
    [[nodiscard]] std::string precision() const; // "f32", "bf16", "f16"

    // What classify() takes for a photograph: u8 (photo_size, photo_size, 3), row-major, RGB.
    [[nodiscard]] std::size_t square_bytes() const;
    // The bytes of a JPEG, PNG, GIF, BMP, WebP or TIFF to the square that validation cuts: the centre,
    // resized as data/resize.hpp does. `square` holds square_bytes(). data::decode_error, naming
    // `display_name`. Any thread, any number at once.
    void make_square(std::span<const std::byte> photograph, std::string_view display_name,
                     std::span<std::uint8_t> square) const;

    // Prepares all plans without transforms and runs each once, for which else the first calls would wait.
    void prepare();

    // The logits f32 (photographs, classes) of squares u8 (photographs, photo_size, photo_size, 3), one or
    // more, row-major. They go through the network in runs of batch_size; a last run that is smaller takes
    // the smallest plan that holds it (1, 2, 4, ... photographs), whose first use prepares it. Which plan a
    // photograph goes through may change its logits by the rounding of sums, as thread counts do. One caller
    // at a time; waits for the device.
    [[nodiscard]] std::vector<float> classify(std::span<const std::uint8_t> squares);
    // The same where the squares are sampled by rows of transforms f64 (photographs,
    // kernels::photo_transform_columns). std::logic_error unless options.transforms and samples().
    [[nodiscard]] std::vector<float> classify(std::span<const std::uint8_t> squares,
                                              std::span<const double> transforms);
    // Whether the network samples its image from larger squares.
    [[nodiscard]] bool samples() const { return description_.photo_size != description_.size; }

  private:
    struct sized_plan;

    sized_plan& plan_for(std::size_t photographs, bool transformed);
    void run(sized_plan& with, std::span<const std::uint8_t> squares, std::span<const double> transforms,
             std::span<float> logits);

    model::model_description description_;
    std::int64_t batch_size_;
    model::network network_;
    std::unique_ptr<kernels::backend> device_;
    kernels::dtype activations_ = kernels::dtype::f32;
    std::unique_ptr<model::parameters> parameters_;
    kernels::device_memory memory_{nullptr, [](std::byte*) {}}; // of the plans, one at a time
    std::vector<std::unique_ptr<sized_plan>> plans_;            // by rising batch
};

} // namespace petnet::infer
