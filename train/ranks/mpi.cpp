// SPDX-License-Identifier: Apache-2.0
#include "train/ranks/mpi.hpp"

#include "base/errors.hpp"

#include <chrono>
#include <dlfcn.h>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

namespace petnet::ranks {
namespace {

namespace fs = std::filesystem;

// Beside an installed program, in lib/petnet; else where it was built.
fs::path module_file() {
    std::error_code ignored;
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    const fs::path installed = program.parent_path().parent_path() / "lib/petnet/petnet_mpi.so";
    return fs::exists(installed, ignored) ? installed : fs::path(PETNET_BUILT_MPI_MODULE);
}

class mpi_summation final : public summation {
  public:
    mpi_summation(const mpi_functions& mpi, control_channel& watch) : mpi_(mpi), watch_(watch) {}
    [[nodiscard]] std::string name() const override { return "mpi"; }

    void sum(std::span<float> values) override {
        // A call of MPI that waits keeps a core busy, and waits for ever where a rank is gone.
        constexpr std::chrono::microseconds pause{30};
        mpi_.begin_sum(values.data(), values.size());
        while (!mpi_.is_summed()) {
            if (const auto why = watch_.why_lost()) throw environment_error(*why);
            std::this_thread::sleep_for(pause);
        }
    }
    void leave() override { mpi_.leave(); }

  private:
    const mpi_functions& mpi_;
    control_channel& watch_;
};

} // namespace

const mpi_functions& load_mpi() {
    const std::string otherwise =
        ": install Open MPI (Debian: openmpi-bin), or start the processes with RANK, WORLD_SIZE, MASTER_ADDR "
        "and MASTER_PORT instead of mpirun";
    // MPI opens modules of its own, which look for its symbols among everybody's.
    void* module = ::dlopen(module_file().c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (module == nullptr)
        throw environment_error("mpirun started several processes, and MPI cannot be loaded (" +
                                std::string(::dlerror()) + ")" + otherwise);
    const auto join = reinterpret_cast<join_mpi>(::dlsym(module, join_mpi_name));
    const mpi_functions* const functions = join == nullptr ? nullptr : join();
    if (functions == nullptr)
        throw environment_error("mpirun started several processes, and MPI has no threads" + otherwise);
    return *functions;
}

std::unique_ptr<summation> make_mpi_summation(const mpi_functions& mpi, control_channel& watch) {
    return std::make_unique<mpi_summation>(mpi, watch);
}

} // namespace petnet::ranks
