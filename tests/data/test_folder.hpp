// SPDX-License-Identifier: Apache-2.0
// A folder of its own for each test, and files to put into it.
#pragma once

#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/random.hpp"

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace petnet::test {

class temporary_folder {
  public:
    temporary_folder() {
        const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
        path_ =
            std::filesystem::temp_directory_path() / ("petnet_" + std::string(test->test_suite_name()) + "_" +
                                                      test->name() + "_" + std::to_string(::getpid()));
        std::filesystem::create_directories(path_);
    }
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    std::filesystem::path write(const std::string& name, std::string_view content) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        write_file_atomically(path_ / name, content);
        return path_ / name;
    }

  private:
    std::filesystem::path path_;
};

// What passes for a JPEG until it is decoded.
inline constexpr std::string_view jpeg_start = "\xff\xd8\xff\xe0 and so on";

// The smallest real image: a BMP of one pixel of the given gray.
inline std::string one_pixel_bmp(unsigned char gray) {
    std::string bytes(58, '\0');
    bytes[0] = 'B';
    bytes[1] = 'M';
    bytes[2] = 58;
    bytes[10] = 54;
    bytes[14] = 40;
    bytes[18] = 1;
    bytes[22] = 1;
    bytes[26] = 1;
    bytes[28] = 24;
    for (std::size_t i = 54; i < 57; ++i) bytes[i] = static_cast<char>(gray);
    return bytes;
}

// A BMP of noise, which is another one for each key. The width is a multiple of 4, as a row's bytes must be;
// sides are below 256.
inline std::string noise_bmp(random_key key, std::size_t width, std::size_t height) {
    std::string bytes(54 + 3 * width * height, '\0');
    bytes.replace(0, 2, "BM");
    bytes[10] = 54;
    bytes[14] = 40;
    bytes[18] = static_cast<char>(width);
    bytes[22] = static_cast<char>(height);
    bytes[26] = 1;
    bytes[28] = 24;
    for (std::size_t i = 54; i < bytes.size(); ++i)
        bytes[i] = static_cast<char>(static_cast<unsigned char>(255 * key.uniform(i)));
    return bytes;
}

// Photographs of noise by taking turns of these widths and heights; by their names every third is a cat, the
// others are dogs.
inline void write_cats_and_dogs(const temporary_folder& folder, std::size_t count,
                                std::span<const std::pair<std::size_t, std::size_t>> sides) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto [width, height] = sides[i % sides.size()];
        folder.write((i % 3 == 0 ? "C" : "d") + std::to_string(i) + ".bmp",
                     noise_bmp(random_key(i), width, height));
    }
}

// Runs `call`, which is to throw `error_type`, and returns its message.
template <class error_type, class call_type> std::string message_of(const call_type& call) {
    try {
        call();
    } catch (const error_type& problem) {
        EXPECT_EQ(std::string_view(problem.what()).find('\n'), std::string_view::npos) << "not one line";
        return problem.what();
    } catch (const std::exception& other) {
        ADD_FAILURE() << "another exception: " << other.what();
        return {};
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

} // namespace petnet::test
