// SPDX-License-Identifier: Apache-2.0
#include "model/memory_plan.hpp"

#include "base/random.hpp"
#include "kernels/backend.hpp"

#include <algorithm>
#include <gtest/gtest.h>

using petnet::model::lifetime;
using petnet::model::memory_plan;
using petnet::model::place_by_size;

namespace {

bool together(const lifetime& a, const lifetime& b) { return a.first <= b.last && b.first <= a.last; }

std::vector<lifetime> random_tensors(std::uint64_t seed) {
    const petnet::random_key key = petnet::random_key(seed).child("lifetimes");
    std::vector<lifetime> tensors(1 + key.bits(0) % 60);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const std::uint64_t first = key.bits(3 * i + 1) % 40;
        tensors[i] = {key.bits(3 * i + 2) % 5000, first, first + key.bits(3 * i + 3) % 12};
    }
    return tensors;
}

// The most bytes in use at one time: no plan can do with less.
std::size_t lower_bound(const std::vector<lifetime>& tensors) {
    std::size_t most = 0;
    for (std::size_t now = 0; now < 60; ++now) {
        std::size_t sum = 0;
        for (const lifetime& t : tensors)
            if (t.first <= now && now <= t.last) sum += t.bytes;
        most = std::max(most, sum);
    }
    return most;
}

TEST(memory_plan, tensors_in_use_together_never_overlap) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        const std::vector<lifetime> tensors = random_tensors(seed);
        const memory_plan plan = place_by_size(tensors);
        ASSERT_EQ(plan.offsets.size(), tensors.size());
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            EXPECT_EQ(plan.offsets[i] % petnet::kernels::memory_alignment, 0U);
            EXPECT_LE(plan.offsets[i] + tensors[i].bytes, plan.total_bytes);
            for (std::size_t j = 0; j < i; ++j) {
                if (!together(tensors[i], tensors[j])) continue;
                const bool apart = plan.offsets[i] + tensors[i].bytes <= plan.offsets[j] ||
                                   plan.offsets[j] + tensors[j].bytes <= plan.offsets[i];
                ASSERT_TRUE(apart || tensors[i].bytes == 0 || tensors[j].bytes == 0)
                    << "seed " << seed << ", tensors " << j << " and " << i;
            }
        }
        EXPECT_GE(plan.total_bytes, lower_bound(tensors));
    }
}

TEST(memory_plan, memory_is_used_again) {
    // A chain, each tensor in use until the next one is made: two places are enough.
    std::vector<lifetime> chain;
    for (std::size_t i = 0; i < 20; ++i) chain.push_back({1024, i, i + 1});
    EXPECT_EQ(place_by_size(chain).total_bytes, 2048U);
    // Over random cases the plan is near the least possible, far below one place for each.
    double total = 0, bound = 0, sum = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        const std::vector<lifetime> tensors = random_tensors(seed);
        total += static_cast<double>(place_by_size(tensors).total_bytes);
        bound += static_cast<double>(lower_bound(tensors));
        for (const lifetime& t : tensors) sum += static_cast<double>(t.bytes);
    }
    EXPECT_LT(total, 1.3 * bound);
    EXPECT_LT(total, 0.7 * sum);
}

TEST(memory_plan, is_a_function_of_its_argument) {
    const std::vector<lifetime> tensors = random_tensors(7);
    EXPECT_EQ(place_by_size(tensors).offsets, place_by_size(tensors).offsets);
    EXPECT_EQ(place_by_size({}).total_bytes, 0U);
}

} // namespace
