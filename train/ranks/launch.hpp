// SPDX-License-Identifier: Apache-2.0
// Which of several processes this one is: what their launcher left in the environment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace petnet::ranks {

struct launch {
    int rank = 0, size = 1;
    int local_rank = 0, local_size = 1; // among those of this machine
    // Where rank 0 listens for the others. Empty: MPI, which started the processes, tells.
    std::string address;
    std::uint16_t port = 0;
    bool by_mpi = false; // started by mpirun
};

// The value of an environment variable; empty: not set.
using environment = std::function<std::string(const char* name)>;

// RANK and WORLD_SIZE with MASTER_ADDR and MASTER_PORT (torchrun, `distribution: pytorch` of Azure ML), else
// OMPI_COMM_WORLD_RANK and _SIZE (Open MPI's mpirun, `distribution: mpi`); neither: one process. Under
// torchrun, which keeps MASTER_PORT to itself, rank 0 listens at the port after it. usage_error where the
// variables contradict each other.
[[nodiscard]] launch read_launch(const environment& variables);

// Each process of a machine takes a GPU of its own: CUDA_VISIBLE_DEVICES becomes the one with the number of
// local_rank among those it names (or among all), unless there is one process, or it names one already. To be
// called before CUDA's first.
void choose_gpu(const launch& place);

} // namespace petnet::ranks
