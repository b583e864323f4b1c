// SPDX-License-Identifier: Apache-2.0
// Arbitrary bytes as a photograph: decode() gives whole pixels, turned by their EXIF orientation, or a
// decode_error, in bounded memory and time, and what it gives can be resized. image_fuzz -rss_limit_mb=700
// -timeout=10 CORPUS SEEDS, where SEEDS holds photographs of every kind, such as data/sample/images,
// tests/data/odd and what tests/data/corpus_pictures.py writes.
#include "data/decode.hpp"
#include "data/resize.hpp"

#include <cstdlib>

using namespace petnet::data;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static rgb_image image;
    try {
        decode(std::as_bytes(std::span(data, size)), "fuzz", image, orientation::by_exif);
    } catch (const decode_error&) {
        return 0;
    }
    if (image.pixels.size() != image.width * image.height * 3 || image.pixels.empty()) std::abort();
    // Long thin images would mostly exercise the machine's memory.
    if (half_resized_bytes(image.width, image.height, 8) > 1'000'000) return 0;
    std::vector<std::uint8_t> square(8 * 8 * 3);
    cut_square(resize_covered_axis(image, 8), 0.3, square);
    return 0;
}
