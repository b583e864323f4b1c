// SPDX-License-Identifier: Apache-2.0
// The photo path of one core, over photographs as they lie on the disk (in the system's cache, from the
// second sample on): read and decode, resize, and both with the normalisation, which is what one photograph
// costs.
#include "base/files.hpp"
#include "bench/step_under_test.hpp"
#include "bench/suite.hpp"
#include "data/decode.hpp"
#include "data/image_folder.hpp"
#include "data/resize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace petnet::bench {
namespace {

constexpr std::size_t most_photographs = 64;

// The photographs, on the disk and decoded, shared by the cases.
class photo_set {
  public:
    explicit photo_set(const std::filesystem::path& folder) : folder_(data::open_image_folder(folder)) {}

    [[nodiscard]] std::size_t count() const { return std::min(folder_.photos.size(), most_photographs); }
    void decode(std::size_t photo, data::rgb_image& into) const {
        constexpr std::size_t limit = std::size_t{1} << 28;
        data::decode(read_file(folder_.path_of(photo), limit), folder_.photos[photo].name, into);
    }

  private:
    data::image_folder folder_;
};

// tensor (3, size, size) = (square (size, size, 3) / 255 - mean) / deviation, with ImageNet's constants.
void normalise(std::span<const std::uint8_t> square, std::vector<float>& tensor) {
    constexpr std::array<float, 3> mean{0.485F, 0.456F, 0.406F};
    constexpr std::array<float, 3> deviation{0.229F, 0.224F, 0.225F};
    const std::size_t plane = square.size() / 3;
    for (std::size_t channel = 0; channel < 3; ++channel) {
        const float scale = 1 / (255 * deviation[channel]);
        const float offset = -mean[channel] / deviation[channel];
        float* out = tensor.data() + channel * plane;
        const std::uint8_t* in = square.data() + channel;
        for (std::size_t i = 0; i < plane; ++i) out[i] = static_cast<float>(in[3 * i]) * scale + offset;
    }
}

enum class part : std::uint8_t { decode, resize, all };

// Seconds of one photograph, the mean over the set.
class photo_case final : public bench_case {
  public:
    photo_case(case_description about, part what, std::shared_ptr<const photo_set> photos, std::int64_t size)
        : bench_case(std::move(about)),
          what_(what),
          photos_(std::move(photos)),
          size_(static_cast<std::size_t>(size)),
          square_(size_ * size_ * 3),
          tensor_(size_ * size_ * 3) {}

    void prepare() override {
        if (!decoded_.empty()) return;
        decoded_.resize(photos_->count());
        for (std::size_t i = 0; i < decoded_.size(); ++i) photos_->decode(i, decoded_[i]);
    }
    [[nodiscard]] double hot() override {
        const double began = seconds_now();
        for (data::rgb_image& kept : decoded_) {
            const auto photo = static_cast<std::size_t>(&kept - decoded_.data());
            if (what_ != part::resize) photos_->decode(photo, image_);
            if (what_ == part::decode) continue;
            data::rgb_image& image = what_ == part::resize ? kept : image_;
            data::cut_square(data::resize_covered_axis(image, size_), 0.5, square_);
            if (what_ == part::all) normalise(square_, tensor_);
        }
        return (seconds_now() - began) / static_cast<double>(decoded_.size());
    }

  private:
    part what_;
    std::shared_ptr<const photo_set> photos_;
    std::size_t size_;
    std::vector<std::uint8_t> square_;
    std::vector<float> tensor_;
    std::vector<data::rgb_image> decoded_;
    data::rgb_image image_;
};

} // namespace

void add_photo_cases(case_list& to, const std::filesystem::path& photographs, std::int64_t size) {
    const auto photos = std::make_shared<const photo_set>(photographs);
    for (const auto& [label, what] : {std::pair{"read+decode", part::decode},
                                      std::pair{"resize", part::resize}, std::pair{"path", part::all}})
        to.push_back(std::make_unique<photo_case>(
            case_description{.name = fmt::format("photo/{}/{}", label, size),
                             .group = "photo",
                             .label = label,
                             .shapes = fmt::format("{} photographs, to {}x{}", photos->count(), size, size),
                             .precision = {},
                             .phase = {},
                             .threads = 1,
                             .items = 1,
                             .samples = 9,
                             .quick_samples = 5},
            what, photos, size));
}

} // namespace petnet::bench
