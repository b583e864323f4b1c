// SPDX-License-Identifier: Apache-2.0
// MPI, in a module of its own that is loaded where mpirun has started the processes: petnet itself needs no
// MPI to run.
#pragma once

#include "train/ranks/summation.hpp"

#include <cstddef>
#include <memory>
#include <span>

namespace petnet::ranks {

// What the module offers, without MPI's types.
struct mpi_functions {
    int rank, size;
    void (*broadcast)(void* bytes, std::size_t count); // from rank 0
    // Begins to replace the values by their sums over the ranks; at most one at a time.
    void (*begin_sum)(float* values, std::size_t count);
    bool (*is_summed)(); // moves it on, does not wait
    void (*leave)();
};
// The module exports a function of this type under this name, which begins MPI. nullptr where MPI has not the
// threads that are needed.
using join_mpi = const mpi_functions* (*)();
inline constexpr const char* join_mpi_name = "petnet_join_mpi";

// environment_error where the module, or MPI itself, is not there.
[[nodiscard]] const mpi_functions& load_mpi();

// `watch` outlives it.
[[nodiscard]] std::unique_ptr<summation> make_mpi_summation(const mpi_functions& mpi, control_channel& watch);

} // namespace petnet::ranks
