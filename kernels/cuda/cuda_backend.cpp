// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/cuda_backend.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/fused_pairs.hpp"
#include "kernels/cuda/host_layout.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/nccl_all_reduce.hpp"
#include "kernels/cuda/recorded_sequence.hpp"
#include "kernels/cuda/resources.hpp"
#include "kernels/cuda/through_norm.hpp"
#include "kernels/cuda/timing.hpp"
#include "kernels/cuda/transfers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace petnet::kernels {
namespace {

using namespace cuda;

constexpr double giga = 1e9;

// Device 0: CUDA_VISIBLE_DEVICES chooses which one that is.
struct found_device {
    cudaError_t result = cudaSuccess;
    cudaDeviceProp properties{};
};
found_device find_device() {
    found_device found;
    int count = 0;
    found.result = cudaGetDeviceCount(&count);
    if (found.result == cudaSuccess && count == 0) found.result = cudaErrorNoDevice;
    if (found.result == cudaSuccess) found.result = cudaSetDevice(0);
    if (found.result == cudaSuccess) found.result = cudaGetDeviceProperties(&found.properties, 0);
    if (found.result != cudaSuccess) static_cast<void>(cudaGetLastError()); // off the record
    return found;
}
cudaDeviceProp require_device() {
    const found_device found = find_device();
    const std::string missing =
        found.result != cudaSuccess ? in_plain_words(found.result) : why_no_convolutions();
    if (!missing.empty()) throw environment_error("the backend cuda is not there: " + missing);
    return found.properties;
}

std::string describe(const cudaDeviceProp& properties) {
    int driver = 0;
    check(cudaDriverGetVersion(&driver), "asking for the driver's version");
    return fmt::format("{}, compute capability {}.{}, {:.0f} GB, driver for CUDA {}.{}", properties.name,
                       properties.major, properties.minor,
                       static_cast<double>(properties.totalGlobalMem) / giga, driver / 1000,
                       driver % 1000 / 10);
}

class cuda_backend final : public backend, public timed_device {
  public:
    explicit cuda_backend(const backend_options& options)
        : properties_(require_device()),
          stream_(make_stream()),
          convolve_(make_convolutions(stream_.get(), options)),
          context_(stream_.get(), *convolve_),
          transfers_(stream_.get()),
          eviction_(stream_.get(), static_cast<std::size_t>(properties_.l2CacheSize)) {}

    std::string name() const override { return "cuda"; }
    std::string device() const override { return describe(properties_) + ", " + convolve_->description(); }

    // Tensor cores have bf16 from Ampere (8.0) on, f16 on all that CUDA 13 knows (from 7.5).
    bool supports(dtype activations) const override {
        return activations == dtype::f32 || activations == dtype::f16 ||
               (activations == dtype::bf16 && properties_.major >= 8);
    }
    // bf16 and f16 have the same speed; bf16 needs no loss scale.
    dtype fastest() const override { return supports(dtype::bf16) ? dtype::bf16 : dtype::f16; }

    tensor_desc activation(dtype type, const shape& dims) const override {
        return activation_desc(type, dims);
    }
    tensor_desc convolution_weights(const convolution_shape& shape, dtype activations) const override {
        return weights_desc(shape, activations);
    }

    std::size_t storage_bytes(const tensor_desc& desc) const override { return stored_bytes(desc); }

    device_memory allocate(std::size_t bytes) override {
        void* memory = nullptr;
        const cudaError_t result = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
        if (result == cudaErrorMemoryAllocation) {
            static_cast<void>(cudaGetLastError());
            throw out_of_device_memory(bytes, free_memory(), properties_.name);
        }
        check(result, "allocating memory of the GPU");
        return {static_cast<std::byte*>(memory), [](std::byte* p) { free_device_memory{}(p); }};
    }
    std::size_t free_memory() const override {
        std::size_t free = 0, total = 0;
        check(cudaMemGetInfo(&free, &total), "asking for the GPU's free memory");
        return free;
    }

    void write(const tensor_view& to, std::span<const float> values) override { write_values(to, values); }
    void write(const tensor_view& to, std::span<const double> values) override { write_values(to, values); }
    void read(const tensor_view& from, std::span<float> values) override { read_values(from, values); }
    void read(const tensor_view& from, std::span<double> values) override { read_values(from, values); }
    void write_bytes(const tensor_view& to, std::span<const std::byte> bytes) override {
        require_bytes(to, bytes.size());
        constexpr const char* doing = "copying to the GPU";
        check(cudaMemcpyAsync(to.data, bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream_.get()),
              doing);
        check(cudaStreamSynchronize(stream_.get()), doing);
    }
    void read_bytes(const tensor_view& from, std::span<std::byte> bytes) override {
        require_bytes(from, bytes.size());
        constexpr const char* doing = "reading from the GPU";
        check(cudaMemcpyAsync(bytes.data(), from.data, bytes.size(), cudaMemcpyDeviceToHost, stream_.get()),
              doing);
        check(cudaStreamSynchronize(stream_.get()), doing);
    }
    void clear(const tensor_view& view) override {
        check(cudaMemsetAsync(view.data, 0, stored_bytes(view.desc), stream_.get()),
              "clearing memory of the GPU");
    }

    void upload(const tensor_view& to, std::span<const double> values) override {
        upload_bytes(to, stored(to.desc, values));
    }
    void upload_bytes(const tensor_view& to, std::span<const std::byte> bytes) override {
        require_bytes(to, bytes.size());
        transfers_.upload(to.data, bytes);
    }
    void prepare_uploads(std::size_t bytes) override { transfers_.prepare_uploads(bytes); }
    void read_later(const tensor_view& from, std::span<float> values) override {
        transfers_.read_later(from.data, stored_bytes(from.desc),
                              [desc = from.desc, values](std::span<const std::byte> bytes) {
                                  from_storage(desc, bytes, values);
                              });
    }
    void read_bytes_later(const tensor_view& from, std::span<std::byte> bytes) override {
        require_bytes(from, bytes.size());
        transfers_.read_later(from.data, bytes.size(), [bytes](std::span<const std::byte> read) {
            std::ranges::copy(read, bytes.begin());
        });
    }
    work_mark mark() override { return transfers_.mark(); }
    bool reached(work_mark mark) override { return transfers_.reached(mark); }
    void wait(work_mark mark) override { transfers_.wait(mark); }

    std::unique_ptr<operation> prepare(const operation_params& op) override {
        check_contract(op);
        check_descriptors(op);
        return std::visit([this](const auto& params) { return cuda::prepare(context_, params); }, op);
    }
    std::unique_ptr<operation> prepare_pair(const operation_params& first,
                                            const operation_params& second) override {
        for (const operation_params* op : {&first, &second}) {
            check_contract(*op);
            check_descriptors(*op);
        }
        return cuda::prepare_pair(context_, first, second);
    }
    bool reads_through_norm(const convolution_shape& shape, dtype activations, bool trains) override {
        return cuda::reads_through_norm(context_, shape, activations, trains);
    }
    bool reduce_workspaces() override { return convolve_->reduce_workspaces(); }
    std::unique_ptr<operation> sequence(std::vector<operation*> operations) override {
        return make_recorded_sequence(stream_.get(), std::move(operations));
    }

    std::unique_ptr<all_reduce> make_all_reduce(const process_group& processes) override {
        return make_nccl_all_reduce(stream_.get(), processes);
    }

    std::unique_ptr<stopwatch> make_stopwatch() override { return make_event_stopwatch(stream_.get()); }
    void evict(std::span<const std::byte>) override { eviction_.run(); }

  private:
    static void require(bool holds, const std::string& what) {
        if (!holds) throw std::logic_error("the cuda backend: " + what);
    }
    static void require_bytes(const tensor_view& view, std::size_t bytes) {
        require(bytes == stored_bytes(view.desc), "a " + view.desc.dims.text() + " tensor has " +
                                                      std::to_string(stored_bytes(view.desc)) +
                                                      " bytes, not " + std::to_string(bytes));
    }
    // Kernels trust that activations are as activation() says, and are found at multiples of 16 bytes.
    void check_descriptors(const operation_params& op) const {
        const bool any_layout =
            std::holds_alternative<adam_step>(op) || std::holds_alternative<loss_scale_update>(op);
        for_each_operand(op, [&](std::string_view name, const tensor_view& view, access) {
            require(view.data != nullptr, std::string(name) + " has no address");
            require(reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0,
                    std::string(name) + " must lie at a multiple of 16 bytes");
            if (any_layout || is_weights(view.desc)) return;
            const tensor_desc expected = name == "pixels"
                                             ? tensor_desc{view.desc.type, view.desc.dims, row_major}
                                             : activation(view.desc.type, view.desc.dims);
            require(view.desc == expected,
                    fmt::format("{} must have layout {}, not {}", name, expected.layout, view.desc.layout));
        });
    }

    template <class Value>
    [[nodiscard]] static std::vector<std::byte> stored(const tensor_desc& desc,
                                                       std::span<const Value> values) {
        std::vector<std::byte> storage(stored_bytes(desc));
        to_storage(desc, values, storage);
        return storage;
    }
    template <class Value> void write_values(const tensor_view& to, std::span<const Value> values) {
        write_bytes(to, stored(to.desc, values));
    }
    template <class Value> void read_values(const tensor_view& from, std::span<Value> values) {
        std::vector<std::byte> storage(stored_bytes(from.desc));
        read_bytes(from, storage);
        from_storage(from.desc, std::span<const std::byte>(storage), values);
    }

    cudaDeviceProp properties_;
    stream stream_;
    std::unique_ptr<convolutions> convolve_;
    context context_;
    transfers transfers_;
    cache_eviction eviction_;
};

} // namespace

std::unique_ptr<backend> make_cuda_backend(const backend_options& options) {
    return std::make_unique<cuda_backend>(options);
}

backend_status cuda_backend_status() {
    const found_device found = find_device();
    if (found.result != cudaSuccess) return {"cuda", in_plain_words(found.result), false};
    const std::string missing = why_no_convolutions();
    return {"cuda", describe(found.properties) + (missing.empty() ? "" : "; but " + missing),
            missing.empty()};
}

} // namespace petnet::kernels
