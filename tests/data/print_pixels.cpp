// SPDX-License-Identifier: Apache-2.0
// print_pixels FILE...: a line for each, NAME WIDTH HEIGHT HASH, the SHA-256 of its pixels as decode() gives
// them, or NAME refused REASON; with tabs in between. For tests/data/corpus.py. The pixels' storage is filled
// with a number before, which would show where decode() leaves out a pixel.
#include "base/files.hpp"
#include "data/decode.hpp"

#include <filesystem>
#include <iostream>

int main(int count, char** words) {
    using namespace petnet;
    data::rgb_image image;
    for (int i = 1; i < count; ++i) {
        const std::filesystem::path path(words[i]);
        const std::string name = path.filename().string();
        try {
            image.pixels.assign(100'000, 0xa5);
            data::decode(read_file(path, std::size_t{1} << 30), name, image);
            std::cout << name << '\t' << image.width << '\t' << image.height << '\t'
                      << sha256(std::as_bytes(std::span(image.pixels))) << '\n';
        } catch (const data::decode_error& problem) {
            std::cout << name << "\trefused\t" << std::string(problem.what()).substr(name.size() + 2) << '\n';
        }
    }
}
