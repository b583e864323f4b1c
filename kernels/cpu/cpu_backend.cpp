// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/cpu_backend.hpp"

#include "base/errors.hpp"
#include "kernels/cpu/context.hpp"
#include "kernels/cpu/instruction_set.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <sched.h>
#include <string>
#include <unistd.h>

namespace petnet::kernels {
namespace {

// The processors this process may run on, and no more than its control group's quota of processor time. Where
// a launcher has bound each of several processes to processors of its own, these are not divided again.
int usable_threads(int processes) {
    cpu_set_t set;
    int count = 1;
    if (::sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
    const bool is_bound = count < static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
    if (!is_bound) count /= processes;
    std::ifstream quota_file("/sys/fs/cgroup/cpu.max"); // "max 100000" or "150000 100000"
    double quota = 0, period = 0;
    if (quota_file >> quota >> period && period > 0)
        count = std::min(count, static_cast<int>(quota / period / processes + 0.5));
    return std::max(1, count);
}

std::string processor_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown processor";
}

class cpu_backend final : public backend {
  public:
    explicit cpu_backend(const backend_options& options)
        : cpu_(options.threads > 0 ? options.threads : usable_threads(options.processes)) {}

    std::string name() const override { return "cpu"; }
    std::string device() const override {
        const dnnl_version_t& version = *dnnl_version();
        return processor_name() + ", " + std::to_string(cpu_.threads()) +
               (cpu_.threads() == 1 ? " thread, " : " threads, ") +
               cpu::name_of(cpu::widest_instruction_set()) + ", oneDNN " + std::to_string(version.major) +
               "." + std::to_string(version.minor) + "." + std::to_string(version.patch);
    }

    bool supports(dtype activations) const override {
        return activations == dtype::f32 || (activations == dtype::bf16 && cpu_.native_bf16());
    }
    dtype fastest() const override { return cpu_.fast_bf16() ? dtype::bf16 : dtype::f32; }

    tensor_desc activation(dtype type, const shape& dims) const override {
        return {type, dims, cpu_.activation_layout(type, dims[1])};
    }
    tensor_desc convolution_weights(const convolution_shape& shape, dtype activations) const override {
        return cpu_.convolution_weights(shape, activations);
    }

    std::size_t storage_bytes(const tensor_desc& desc) const override {
        if (desc.type == dtype::u64)
            return static_cast<std::size_t>(desc.dims.elements()) * sizeof(std::uint64_t);
        return cpu_.describe(desc).get_size();
    }

    device_memory allocate(std::size_t bytes) override {
        const std::size_t size =
            (std::max<std::size_t>(bytes, 1) + memory_alignment - 1) / memory_alignment * memory_alignment;
        auto* memory = static_cast<std::byte*>(std::aligned_alloc(memory_alignment, size));
        if (memory == nullptr)
            throw environment_error("out of memory: " + std::to_string(size / 1000000) + " MB were needed");
        return {memory, [](std::byte* p) { std::free(p); }};
    }

    void write(const tensor_view& to, std::span<const float> values) override {
        // The plain side of the reorder is only read.
        dnnl::memory plain(plain_desc(to.desc), cpu_.engine(), const_cast<float*>(values.data()));
        clear(to);
        reorder(plain, cpu_.memory(to));
    }
    void write(const tensor_view& to, std::span<const double> values) override {
        write(to, std::span<const float>(std::vector<float>(values.begin(), values.end())));
    }
    void read(const tensor_view& from, std::span<float> values) override {
        reorder(cpu_.memory(from), dnnl::memory(plain_desc(from.desc), cpu_.engine(), values.data()));
    }
    void read(const tensor_view& from, std::span<double> values) override {
        std::vector<float> single(values.size());
        read(from, std::span<float>(single));
        std::copy(single.begin(), single.end(), values.begin());
    }
    void write_bytes(const tensor_view& to, std::span<const std::byte> bytes) override {
        std::memcpy(to.data, bytes.data(), bytes.size());
    }
    void read_bytes(const tensor_view& from, std::span<std::byte> bytes) override {
        std::memcpy(bytes.data(), from.data, bytes.size());
    }
    void clear(const tensor_view& view) override { std::memset(view.data, 0, storage_bytes(view.desc)); }

    std::unique_ptr<operation> prepare(const operation_params& op) override {
        check_contract(op);
        return std::visit([this](const auto& params) { return cpu::prepare(cpu_, params); }, op);
    }

    std::span<float> host_values(const tensor_view& view) override {
        return {reinterpret_cast<float*>(view.data), storage_bytes(view.desc) / sizeof(float)};
    }

  private:
    [[nodiscard]] cpu::memory_desc plain_desc(const tensor_desc& desc) const {
        return cpu_.describe({dtype::f32, desc.dims, cpu::row_major});
    }
    void reorder(dnnl::memory from, dnnl::memory to) {
        dnnl::reorder(from, to).execute(cpu_.stream(), from, to);
        cpu_.stream().wait();
    }

    mutable cpu::context cpu_; // layouts of weights are found on first use
};

} // namespace

std::unique_ptr<backend> make_cpu_backend(const backend_options& options) {
    return std::make_unique<cpu_backend>(options);
}

backend_status cpu_backend_status() { return {"cpu", cpu_backend({}).device(), true}; }

} // namespace petnet::kernels
