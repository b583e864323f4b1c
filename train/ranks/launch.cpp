// SPDX-License-Identifier: Apache-2.0
#include "train/ranks/launch.hpp"

#include "base/errors.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <vector>

namespace petnet::ranks {
namespace {

constexpr int most_ranks = 1024;

int number(const environment& variables, const char* name, int least, int most) {
    const std::string text = variables(name);
    int value = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stopped != end || value < least || value > most)
        throw usage_error("the environment variable " + std::string(name) + " is \"" + text +
                          "\": expected a number from " + std::to_string(least) + " to " +
                          std::to_string(most));
    return value;
}

int number_or(const environment& variables, const char* name, int least, int most, int otherwise) {
    return variables(name).empty() ? otherwise : number(variables, name, least, most);
}

// What a launcher calls them.
struct names {
    const char *rank, *size, *local_rank, *local_size;
};
constexpr names torchrun{"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
constexpr names mpirun{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                       "OMPI_COMM_WORLD_LOCAL_SIZE"};

bool are_set(const environment& variables, const names& by) {
    return !variables(by.rank).empty() && !variables(by.size).empty();
}

launch place_of(const environment& variables, const names& by) {
    launch place;
    place.size = number(variables, by.size, 1, most_ranks);
    place.rank = number(variables, by.rank, 0, place.size - 1);
    place.local_size = number_or(variables, by.local_size, 1, place.size, 1);
    place.local_rank = number_or(variables, by.local_rank, 0, most_ranks, 0);
    return place;
}

void set_address(launch& place, const environment& variables) {
    place.address = variables("MASTER_ADDR");
    if (place.address.empty())
        throw usage_error("RANK and WORLD_SIZE are set, but not MASTER_ADDR, the address of rank 0");
    constexpr int most_port = std::numeric_limits<std::uint16_t>::max();
    const int after = variables("TORCHELASTIC_USE_AGENT_STORE") == "True" ? 1 : 0;
    place.port = static_cast<std::uint16_t>(number(variables, "MASTER_PORT", 1, most_port - after) + after);
}

} // namespace

launch read_launch(const environment& variables) {
    if (are_set(variables, torchrun)) {
        launch place = place_of(variables, torchrun);
        if (place.size > 1) set_address(place, variables);
        return place;
    }
    if (!are_set(variables, mpirun)) return {};
    launch place = place_of(variables, mpirun);
    place.by_mpi = place.size > 1;
    return place;
}

void choose_gpu(const launch& place) {
    constexpr const char* variable = "CUDA_VISIBLE_DEVICES";
    if (place.size == 1) return;
    const char* const visible = std::getenv(variable);
    std::string chosen = std::to_string(place.local_rank);
    if (visible != nullptr) {
        std::vector<std::string> names;
        std::istringstream list(visible);
        for (std::string name; std::getline(list, name, ',');) names.push_back(name);
        if (names.size() < 2) return;
        const auto own = static_cast<std::size_t>(place.local_rank);
        chosen = own < names.size() ? names[own] : "";
    }
    ::setenv(variable, chosen.c_str(), 1);
}

} // namespace petnet::ranks
