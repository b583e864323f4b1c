// SPDX-License-Identifier: Apache-2.0
// Stands in for train/ranks/mpi.cpp where MPI was not found at configure time.
#include "base/errors.hpp"
#include "train/ranks/mpi.hpp"

#include <stdexcept>

namespace petnet::ranks {

const mpi_functions& load_mpi() {
    throw environment_error(
        "mpirun started several processes, but this petnet was built without MPI: start them with RANK, "
        "WORLD_SIZE, MASTER_ADDR and MASTER_PORT instead");
}

std::unique_ptr<summation> make_mpi_summation(const mpi_functions&, control_channel&) {
    throw std::logic_error("there is no MPI in this build");
}

} // namespace petnet::ranks
