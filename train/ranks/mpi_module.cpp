// SPDX-License-Identifier: Apache-2.0
// The only source that knows MPI. An error of MPI's ends all processes, as is its way, with its own message.
#include "train/ranks/mpi.hpp"

#include <algorithm>
#include <limits>
#include <mpi.h>

namespace petnet::ranks {
namespace {

// Counts of MPI are ints.
constexpr std::size_t most_at_once = std::size_t{1} << 30;

MPI_Request request = MPI_REQUEST_NULL;
float* next_values = nullptr; // not begun yet
std::size_t values_left = 0;

void begin_next() {
    const std::size_t count = std::min(values_left, most_at_once);
    MPI_Iallreduce(MPI_IN_PLACE, next_values, static_cast<int>(count), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD,
                   &request);
    next_values += count;
    values_left -= count;
}

void broadcast(void* bytes, std::size_t count) {
    MPI_Bcast(bytes, static_cast<int>(count), MPI_BYTE, 0, MPI_COMM_WORLD);
}

void begin_sum(float* values, std::size_t count) {
    next_values = values;
    values_left = count;
    begin_next();
}

bool is_summed() {
    int done = 0;
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0 && values_left > 0) {
        begin_next();
        return false;
    }
    return done != 0;
}

void leave() { MPI_Finalize(); }

} // namespace
} // namespace petnet::ranks

extern "C" [[gnu::visibility("default")]] const petnet::ranks::mpi_functions* petnet_join_mpi() {
    using namespace petnet::ranks;
    static mpi_functions functions{0, 1, broadcast, begin_sum, is_summed, leave};
    int threads = 0;
    // One thread at a time, but not always the same.
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads);
    if (threads < MPI_THREAD_SERIALIZED) return nullptr;
    MPI_Comm_rank(MPI_COMM_WORLD, &functions.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &functions.size);
    return &functions;
}
