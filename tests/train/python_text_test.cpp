// SPDX-License-Identifier: Apache-2.0
// Expected texts are those of Python 3.11 and numpy 2 (20,000 random arrays were compared when this was
// written).
#include "train/python_text.hpp"

#include <array>
#include <gtest/gtest.h>

using namespace petnet::train;

TEST(python_text, of_a_float) {
    for (const auto& [value, text] : {std::pair{5.0, "5.0"},
                                      {0.002, "0.002"},
                                      {1e-5, "1e-05"},
                                      {1e5, "100000.0"},
                                      {0.0001, "0.0001"},
                                      {1e16, "1e+16"},
                                      {1.5e-7, "1.5e-07"},
                                      {0.0, "0.0"},
                                      {-2.5, "-2.5"},
                                      {123456789.25, "123456789.25"}})
        EXPECT_EQ(python_repr(value), text);
    EXPECT_EQ(python_list(std::array{0.01, 0.01, 1e-5}), "[0.01, 0.01, 1e-05]");
}

TEST(python_text, of_an_array) {
    EXPECT_EQ(numpy_text(std::array{1e-5, 1e-4, 1e-3}), "[1.e-05 1.e-04 1.e-03]");
    EXPECT_EQ(numpy_text(std::array{1.5e-5, 1e-4, 1e-3}), "[1.5e-05 1.0e-04 1.0e-03]");
    EXPECT_EQ(numpy_text(std::array{0.001, 0.5, 2.0}), "[1.e-03 5.e-01 2.e+00]"); // more than 1000 apart
    EXPECT_EQ(numpy_text(std::array{0.1, 0.25}), "[0.1  0.25]");
    EXPECT_EQ(numpy_text(std::array{0.0002, 0.0002, 0.002}), "[0.0002 0.0002 0.002 ]");
    EXPECT_EQ(numpy_text(std::array{1.0, -22.5}), "[  1.  -22.5]");
    EXPECT_EQ(numpy_text(std::array{1.0 / 3, 2.0 / 3}), "[0.33333333 0.66666667]");
    EXPECT_EQ(numpy_text(std::array{1e-6 / 3, 0.0}), "[3.33333333e-07 0.00000000e+00]");
}
