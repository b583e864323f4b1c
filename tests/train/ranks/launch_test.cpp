// SPDX-License-Identifier: Apache-2.0
// What launchers leave in the environment, and what petnet makes of it.
#include "train/ranks/launch.hpp"

#include "base/errors.hpp"

#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <string>

using namespace petnet;
using namespace petnet::ranks;

namespace {

using variables = std::map<std::string, std::string>;

launch read(const variables& set) {
    return read_launch([&](const char* name) {
        const auto found = set.find(name);
        return found == set.end() ? std::string() : found->second;
    });
}

TEST(launch, one_process_unless_rank_and_size_are_said) {
    for (const variables& set : {variables{},
                                 {{"RANK", "3"}},
                                 {{"WORLD_SIZE", "4"}},
                                 {{"OMPI_COMM_WORLD_RANK", "1"}},
                                 {{"RANK", "0"}, {"WORLD_SIZE", "1"}}}) {
        EXPECT_EQ(read(set).size, 1);
        EXPECT_EQ(read(set).rank, 0);
        EXPECT_FALSE(read(set).by_mpi);
    }
}

TEST(launch, torchrun) {
    variables set{{"RANK", "3"},
                  {"WORLD_SIZE", "8"},
                  {"LOCAL_RANK", "1"},
                  {"LOCAL_WORLD_SIZE", "2"},
                  {"MASTER_ADDR", "node0"},
                  {"MASTER_PORT", "6105"},
                  {"OMPI_COMM_WORLD_RANK", "9"}};
    const launch place = read(set);
    EXPECT_EQ(place.rank, 3);
    EXPECT_EQ(place.size, 8);
    EXPECT_EQ(place.local_rank, 1);
    EXPECT_EQ(place.local_size, 2);
    EXPECT_EQ(place.address, "node0");
    EXPECT_EQ(place.port, 6105);
    EXPECT_FALSE(place.by_mpi);
    set["TORCHELASTIC_USE_AGENT_STORE"] = "True"; // torchrun itself listens at 6105
    EXPECT_EQ(read(set).port, 6106);
}

TEST(launch, mpirun) {
    const launch place = read({{"OMPI_COMM_WORLD_RANK", "3"},
                               {"OMPI_COMM_WORLD_SIZE", "4"},
                               {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                               {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
    EXPECT_EQ(place.rank, 3);
    EXPECT_EQ(place.size, 4);
    EXPECT_EQ(place.local_rank, 1);
    EXPECT_EQ(place.local_size, 2);
    EXPECT_TRUE(place.by_mpi);
}

TEST(launch, contradictions_are_named) {
    const variables good{{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "1"}};
    EXPECT_NO_THROW(static_cast<void>(read(good)));
    for (const auto& [name, value] : variables{{"RANK", "2"},
                                               {"RANK", "-1"},
                                               {"RANK", "one"},
                                               {"WORLD_SIZE", "0"},
                                               {"WORLD_SIZE", "99999999999999999999"},
                                               {"LOCAL_RANK", "x"},
                                               {"LOCAL_WORLD_SIZE", "3"},
                                               {"MASTER_ADDR", ""},
                                               {"MASTER_PORT", ""},
                                               {"MASTER_PORT", "65536"}}) {
        variables set = good;
        set[name] = value;
        try {
            static_cast<void>(read(set));
            ADD_FAILURE() << name << "=" << value << " passes";
        } catch (const usage_error& problem) {
            EXPECT_NE(std::string(problem.what()).find(name), std::string::npos) << problem.what();
        }
    }
}

TEST(launch, each_process_takes_a_gpu_of_its_own) {
    const auto chosen = [](const char* visible, int local_rank, int size = 4) {
        if (visible == nullptr)
            ::unsetenv("CUDA_VISIBLE_DEVICES");
        else
            ::setenv("CUDA_VISIBLE_DEVICES", visible, 1);
        choose_gpu({.size = size, .local_rank = local_rank});
        const char* const value = ::getenv("CUDA_VISIBLE_DEVICES");
        return std::string(value == nullptr ? "not set" : value);
    };
    EXPECT_EQ(chosen(nullptr, 2), "2");
    EXPECT_EQ(chosen("4,GPU-5,6", 1), "GPU-5");
    EXPECT_EQ(chosen("4,5", 2), "") << "there are not so many";
    EXPECT_EQ(chosen("7", 1), "7") << "the launcher has chosen";
    EXPECT_EQ(chosen(nullptr, 0, 1), "not set") << "one process sees all, and takes the first";
    ::unsetenv("CUDA_VISIBLE_DEVICES");
}

} // namespace
