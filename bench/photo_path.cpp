// SPDX-License-Identifier: Apache-2.0
// The photo path of one core: read, decode, resize, normalise, over a folder of photographs, nothing kept.
// usage: photo_path FOLDER [SIZE] [REPETITIONS]; one JSON line for each repetition, after one to warm up.
#include "base/files.hpp"
#include "data/decode.hpp"
#include "data/image_folder.hpp"
#include "data/resize.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

namespace {

using namespace petnet;
using clock_type = std::chrono::steady_clock;

struct seconds_spent {
    double read = 0, decode = 0, resize = 0, normalise = 0;
    [[nodiscard]] double all() const { return read + decode + resize + normalise; }
};

// tensor (3, size, size) = (square (size, size, 3) / 255 - mean) / deviation, with ImageNet's constants.
void normalise(const std::vector<std::uint8_t>& square, std::vector<float>& tensor) {
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

seconds_spent run(const data::image_folder& folder, std::size_t size) {
    seconds_spent spent;
    std::vector<std::uint8_t> square(size * size * 3);
    std::vector<float> tensor(size * size * 3);
    data::rgb_image image;
    auto last = clock_type::now();
    const auto lap = [&last](double& sum) {
        const auto now = clock_type::now();
        sum += std::chrono::duration<double>(now - last).count();
        last = now;
    };
    for (std::size_t i = 0; i < folder.photos.size(); ++i) {
        const std::vector<std::byte> bytes = read_file(folder.path_of(i), std::size_t{1} << 28);
        lap(spent.read);
        data::decode(bytes, folder.photos[i].name, image);
        lap(spent.decode);
        data::cut_square(data::resize_covered_axis(image, size), 0.5, square);
        lap(spent.resize);
        normalise(square, tensor);
        lap(spent.normalise);
    }
    return spent;
}

} // namespace

int main(int count, char** arguments) {
    try {
        if (count < 2) {
            std::fputs("usage: photo_path FOLDER [SIZE] [REPETITIONS]\n", stderr);
            return 2;
        }
        const std::size_t size = count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 224;
        const int repetitions = count > 3 ? std::stoi(arguments[3]) : 5;
        const data::image_folder folder = data::open_image_folder(arguments[1]);
        (void)run(folder, size);
        const double photos = static_cast<double>(folder.photos.size());
        for (int i = 0; i < repetitions; ++i) {
            const seconds_spent spent = run(folder, size);
            std::printf(
                "{\"images_per_second\": %.2f, \"read_ms\": %.4f, \"decode_ms\": %.4f, \"resize_ms\": %.4f, "
                "\"normalise_ms\": %.4f}\n",
                photos / spent.all(), spent.read / photos * 1e3, spent.decode / photos * 1e3,
                spent.resize / photos * 1e3, spent.normalise / photos * 1e3);
            std::fflush(stdout);
        }
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "photo_path: %s\n", problem.what());
        return 1;
    }
    return 0;
}
