// SPDX-License-Identifier: Apache-2.0
// fastai's augmented photographs, from its own draws. What there is, and its sizes, is read from the files.
#include "data/augment.hpp"
#include "model/weights/weight_file.hpp"
#include "tests/kernels/backends.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/test_tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace petnet::testing {
namespace {

// The golden data's own statement is 0.003 and 0.06, which leaves room for other ways to sample. This way is
// fastai's: what remains is that the record is float16 (2^-12 of values below 1) and fastai's coordinates are
// float32.
constexpr double mean_limit = 0.0003, largest_limit = 0.001;

class golden_augment_test : public ::testing::TestWithParam<std::string> {
  protected:
    [[nodiscard]] std::vector<double> values(const std::string& name) const {
        const model::weight_tensor* tensor = file_.find(name);
        if (tensor == nullptr) throw std::runtime_error("the file has no " + name);
        return tensor->to_float64();
    }
    [[nodiscard]] std::int64_t extent(const std::string& name, std::size_t axis) const {
        return file_.find(name)->shape.at(axis);
    }

    // From (batch, height, width, 3) bytes, or (batch, 3, height, width) of them divided by 255; `margin`
    // pixels on each side repeat those inside, mirrored at the photograph's edge.
    [[nodiscard]] tensor_view photographs(const std::string& name, std::int64_t margin) {
        const std::vector<double> stored = values(name);
        const bool planar = extent(name, 1) == 3;
        const std::int64_t height = extent(name, planar ? 2 : 1), width = extent(name, planar ? 3 : 2);
        const shape dims{extent(name, 0), height + 2 * margin, width + 2 * margin, 3};
        const auto mirrored = [margin](std::int64_t at, std::int64_t size) {
            at -= margin;
            return at < 0 ? -1 - at : at >= size ? 2 * size - 1 - at : at;
        };
        std::vector<std::byte> bytes;
        for (std::int64_t n = 0; n < dims[0]; ++n)
            for (std::int64_t h = 0; h < dims[1]; ++h)
                for (std::int64_t w = 0; w < dims[2]; ++w)
                    for (std::int64_t c = 0; c < 3; ++c) {
                        const std::int64_t row = mirrored(h, height), column = mirrored(w, width);
                        const std::int64_t at = planar ? ((n * 3 + c) * height + row) * width + column
                                                       : ((n * height + row) * width + column) * 3 + c;
                        const double value = stored.at(static_cast<std::size_t>(at));
                        bytes.push_back(static_cast<std::byte>(std::lround(planar ? value * 255 : value)));
                    }
        return tensors_.bytes(dtype::u8, dims, bytes);
    }

    // The transforms of the draws in the file, of which those named take part.
    [[nodiscard]] std::vector<double> drawn(std::int64_t batch, std::string_view steps) const {
        std::vector<double> rows;
        for (std::size_t n = 0; n < static_cast<std::size_t>(batch); ++n) {
            data::augmentation a;
            const auto take = [&](std::string_view step, const char* name, double& value) {
                if (steps.find(step) != std::string_view::npos) value = values(name).at(n);
            };
            double flip = 0;
            take("flip", "flip", flip);
            a.flip = flip != 0;
            take("warp", "warp_x", a.warp_x);
            take("warp", "warp_y", a.warp_y);
            take("rotate", "rotate_deg", a.degrees);
            take("zoom", "zoom", a.zoom);
            take("zoom", "zoom_x", a.zoom_x);
            take("zoom", "zoom_y", a.zoom_y);
            take("lighting", "brightness", a.brightness);
            take("lighting", "contrast", a.contrast);
            const data::photo_transform row = data::transform_of(a);
            rows.insert(rows.end(), row.begin(), row.end());
        }
        return rows;
    }

    void expect(const std::string& photographs_name, const std::vector<double>& transforms,
                const std::string& expected_name, std::int64_t margin = 0) {
        SCOPED_TRACE(expected_name);
        const std::vector<double> expected = values(expected_name);
        const std::int64_t batch = extent(expected_name, 0);
        const tensor_view y =
            tensors_.output(shape{batch, 3, extent(expected_name, 2), extent(expected_name, 3)});
        tensors_.run(sampled_photo_to_tensor{
            photographs(photographs_name, margin),
            transforms.empty() ? tensor_view{} : tensors_.input({batch, photo_transform_columns}, transforms),
            y,
            {0, 0, 0},
            {1, 1, 1}});
        const std::vector<double> actual = tensors_.values(y);
        ASSERT_EQ(actual.size(), expected.size());
        double sum = 0, largest = 0;
        for (std::size_t i = 0; i < actual.size(); ++i) {
            const double difference = std::abs(actual[i] - expected[i]);
            ASSERT_FALSE(std::isnan(difference)) << i;
            sum += difference;
            largest = std::max(largest, difference);
        }
        EXPECT_LT(sum / static_cast<double>(actual.size()), mean_limit);
        EXPECT_LT(largest, largest_limit);
    }

    model::weight_file file_ = model::read_weight_file(golden_dir() / "augment.safetensors");
    std::unique_ptr<backend> backend_ = make_backend(GetParam());
    test_tensors tensors_{*backend_, dtype::f32, dtype::f32};
};

TEST_P(golden_augment_test, each_step_and_all_of_them) {
    const std::int64_t batch = extent("input_nchw", 0);
    for (const auto& [steps, name] : {std::pair{"flip", "flip_out"},
                                      {"warp", "warp_out"},
                                      {"rotate", "rotate_out"},
                                      {"zoom", "zoom_out"},
                                      {"flip warp rotate zoom", "geometry_out"},
                                      {"lighting", "lighting_out"},
                                      {"flip warp rotate zoom lighting", "full_out"}})
        expect("input_nchw", drawn(batch, steps), name);
}

// This record was made with PyTorch's align_corners off: -1 and 1 are the outer edges of the outermost
// pixels, on both sides of the matrix, and it is the edges that reflect. Scaled matrices give the same
// points, and a margin that is mirrored at the edges all that can be seen beyond them.
TEST_P(golden_augment_test, given_matrices) {
    const std::vector<double> matrices = values("affine_mats");
    const auto side = static_cast<double>(extent("input_nchw", 2)),
               out = static_cast<double>(extent("affine_out", 2));
    const double margin = std::floor(out - side / 2); // as much as is not averaged
    const double from_output = (out - 1) / out, to_photograph = side / (side + 2 * margin - 1);
    std::vector<double> transforms;
    for (std::size_t i = 0; i < matrices.size(); i += 9) {
        for (std::size_t k = 0; k < 6; ++k)
            transforms.push_back(matrices[i + k] * to_photograph * (k % 3 == 2 ? 1 : from_output));
        transforms.insert(transforms.end(), {0, 0, 1, 0, 1}); // the last row, brightness, contrast
    }
    expect("input_nchw", transforms, "affine_out", static_cast<std::int64_t>(margin));
}

// Photographs more than twice as large as the output, which fastai averages first; and what it does of all
// this to validate. (This repository's own record: generate/resample.py.)
TEST_P(golden_augment_test, large_photographs) {
    file_ = model::read_weight_file(golden_dir() / "resample.safetensors");
    int sizes = 0;
    for (const model::weight_tensor& tensor : file_.tensors) {
        if (!tensor.name.starts_with("pixels_")) continue;
        ++sizes;
        const std::string side = tensor.name.substr(7);
        expect(tensor.name, {}, "valid_" + side);
        expect(tensor.name, drawn(tensor.shape[0], "flip warp rotate zoom lighting"), "train_" + side);
    }
    EXPECT_GE(sizes, 2);
}

INSTANTIATE_TEST_SUITE_P(every_backend, golden_augment_test, ::testing::ValuesIn(available_backends()),
                         [](const auto& tested) { return test_name(tested.param); });

} // namespace
} // namespace petnet::testing
