// SPDX-License-Identifier: Apache-2.0
// A backend: memory, layouts, and the operations of ops.hpp on one kind of device.
#pragma once

#include "base/errors.hpp"
#include "kernels/all_reduce.hpp"
#include "kernels/ops.hpp"
#include "kernels/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::kernels {

// Memory of a backend's device, aligned to `memory_alignment`, content undefined. Freed by the deleter.
inline constexpr std::size_t memory_alignment = 256;
// Rounded up to a multiple of it.
[[nodiscard]] constexpr std::size_t aligned(std::size_t bytes) noexcept {
    return (bytes + memory_alignment - 1) / memory_alignment * memory_alignment;
}
using device_memory = std::unique_ptr<std::byte, std::function<void(std::byte*)>>;

// A place in a backend's order of work: what was executed and asked for before it. 0 is always reached.
using work_mark = std::uint64_t;

// A prepared operation. `execute` allocates nothing and waits for nothing; calls are ordered as they are made
// on one thread. `workspace` holds workspace_bytes() bytes of device memory, aligned, whose content is
// undefined before and after: operations that do not run at the same time share it.
class operation {
  public:
    operation() = default;
    operation(const operation&) = delete; // holds primitives bound to addresses
    operation& operator=(const operation&) = delete;
    virtual ~operation() = default;
    [[nodiscard]] virtual std::size_t workspace_bytes() const { return 0; }
    virtual void execute(std::byte* workspace) = 0;
};

// A device has not the memory that was asked for. One who knows what it was for can say what to do.
class out_of_device_memory : public environment_error {
  public:
    out_of_device_memory(std::size_t needed, std::size_t free, const std::string& device);
    [[nodiscard]] std::size_t needed() const noexcept { return needed_; } // bytes
    [[nodiscard]] std::size_t free() const noexcept { return free_; }     // bytes

  private:
    std::size_t needed_, free_;
};

class backend {
  public:
    backend() = default;
    backend(const backend&) = delete; // owns a device
    backend& operator=(const backend&) = delete;
    virtual ~backend() = default;

    // "cpu", "reference", "check:cpu,reference"; and for run.json and doctor, the device in plain words.
    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual std::string device() const = 0;

    // Whether activations of this dtype run natively; f32 always does. `fastest` is what `--precision auto`
    // takes.
    [[nodiscard]] virtual bool supports(dtype activations) const = 0;
    [[nodiscard]] virtual dtype fastest() const = 0;

    // The layout of activations (batch, channels, height, width), and of the f32 master weights of a
    // convolution that will run on activations of the given dtype. Weights are the same for every batch and
    // image size: only out_channels, in_channels, kernel, stride, padding of the shape count.
    [[nodiscard]] virtual tensor_desc activation(dtype type, const shape& dims) const = 0;
    [[nodiscard]] virtual tensor_desc convolution_weights(const convolution_shape& shape,
                                                          dtype activations) const = 0;

    [[nodiscard]] virtual std::size_t storage_bytes(const tensor_desc& desc) const = 0;
    // out_of_device_memory when the device has not that much.
    [[nodiscard]] virtual device_memory allocate(std::size_t bytes) = 0;

    // Bytes that are free now in a memory of the device's own; 0 where the device works in the host's.
    [[nodiscard]] virtual std::size_t free_memory() const { return 0; }

    // Between host arrays in row-major order of the logical shape and tensors of any layout; rounding to and
    // from the tensor's dtype. `values.size()` is the number of elements. Padding of the layout is written as
    // 0. f32 and bf16 tensors only. Calls wait for operations executed before, and are done on return.
    virtual void write(const tensor_view& to, std::span<const float> values) = 0;
    virtual void write(const tensor_view& to, std::span<const double> values) = 0;
    virtual void read(const tensor_view& from, std::span<float> values) = 0;
    virtual void read(const tensor_view& from, std::span<double> values) = 0;
    // The same for u8, i32 and u64 tensors in row-major layout, as bytes.
    virtual void write_bytes(const tensor_view& to, std::span<const std::byte> bytes) = 0;
    virtual void read_bytes(const tensor_view& from, std::span<std::byte> bytes) = 0;
    // All bits zero, layout padding included.
    virtual void clear(const tensor_view& view) = 0;

    // The same without waiting, so that a device is given its next step while it still works on the last.
    // Uploads take effect between the operations executed before and after; the caller's values are its own
    // again on return. A read is of the tensor as the operations executed so far leave it; its values are
    // there when a mark made afterwards is reached, and `values` must live until then. A backend that works
    // while its caller waits need not override these.
    virtual void upload(const tensor_view& to, std::span<const double> values) { write(to, values); }
    virtual void upload_bytes(const tensor_view& to, std::span<const std::byte> bytes) {
        write_bytes(to, bytes);
    }
    // Memory for uploads of up to so many bytes is taken now, as far as there is some, so that a training
    // step need not; what earlier ones had is given back. 0 bytes: only that.
    virtual void prepare_uploads(std::size_t /*bytes*/) {}
    virtual void read_later(const tensor_view& from, std::span<float> values) { read(from, values); }
    virtual void read_bytes_later(const tensor_view& from, std::span<std::byte> bytes) {
        read_bytes(from, bytes);
    }
    [[nodiscard]] virtual work_mark mark() { return 0; }
    [[nodiscard]] virtual bool reached(work_mark) { return true; }
    virtual void wait(work_mark) {}

    // Throws std::logic_error where the contract is not met (check_contract). The views' addresses are fixed
    // for the life of the operation; the backend outlives it.
    [[nodiscard]] virtual std::unique_ptr<operation> prepare(const operation_params& op) = 0;

    // Two operations that follow one another, as one that is faster; nullptr where the backend has none,
    // which is no error: then each is prepared alone. Everything that the two write has their values, within
    // the tolerances of docs/numerics.md, but for a tensor that the second one overwrites.
    [[nodiscard]] virtual std::unique_ptr<operation> prepare_pair(const operation_params& /*first*/,
                                                                  const operation_params& /*second*/) {
        return nullptr;
    }

    // Whether a training step is faster where the convolution of this shape reads its input through the batch
    // norm and ReLU before it (`saved`) than where that tensor is written; `trains`: its weights are trained,
    // and their gradient reads the tensor, too. The convolution is followed by a batch norm with a residual
    // and ReLU. Asked before a plan's memory is laid out, and answered alike in the runs that continue this
    // one.
    [[nodiscard]] virtual bool reads_through_norm(const convolution_shape& /*shape*/, dtype /*activations*/,
                                                  bool /*trains*/) {
        return false;
    }

    // After out_of_device_memory: operations prepared from now on make do with less workspace, and may be
    // slower. False where they cannot. Those that are prepared already stay as they are.
    [[nodiscard]] virtual bool reduce_workspaces() { return false; }

    // These operations, one after the other, as one; they outlive it, and it is executed with one workspace
    // always. Devices that can, record them at first and replay the record (a CUDA graph).
    [[nodiscard]] virtual std::unique_ptr<operation> sequence(std::vector<operation*> operations);

    // The stored elements of an f32 tensor, layout padding included, where they are floats in the host's
    // memory that operations are done with on return; else empty.
    [[nodiscard]] virtual std::span<float> host_values(const tensor_view& /*view*/) { return {}; }
    // For a device with memory of its own: means over processes from device to device (NCCL). nullptr where
    // it has none; environment_error where it cannot, saying why. All processes call it at the same point.
    [[nodiscard]] virtual std::unique_ptr<all_reduce> make_all_reduce(const process_group& /*processes*/) {
        return nullptr;
    }
};

// When two operations that a backend can do as one are done so. `always` is for tests and comparisons: also
// where it is slower.
enum class fusion : std::uint8_t { never, when_faster, always };

struct backend_options {
    int threads = 0;   // CPU threads; 0: all that the process may use
    int processes = 1; // on this machine, of one training: they share its processors where `threads` is 0
    // check:A,B calls this with one line for each departure of B from A beyond the tolerance of f32
    // (docs/numerics.md): operation, tensor, largest relative difference, and where.
    std::function<void(const std::string&)> on_departure;
    std::function<void(const std::string&)> on_warning; // what does not keep from going on

    // For `cuda`. tf32: float32 convolutions on tensor cores, which round their inputs to 11 bits of
    // mantissa.
    bool tf32 = false;
    fusion fuse = fusion::when_faster;
    // Where it is remembered which algorithm was the fastest; empty: nothing is measured, and nothing fused
    // that would have to be.
    std::filesystem::path cache_folder;
};

// By name: "auto", "cpu", "cuda", "reference", "reference-double", "check:A,B". `auto` is the first of cuda,
// cpu, reference that this build and this machine have. usage_error for an unknown name; environment_error
// for a backend that is switched off in this build or has no device, saying which and why.
[[nodiscard]] std::unique_ptr<backend> make_backend(std::string_view name,
                                                    const backend_options& options = {});

// One line for each backend: name, and the device or why it is not there; for `petnet doctor`.
struct backend_status {
    std::string name, text;
    bool available = false;
};
[[nodiscard]] std::vector<backend_status> list_backends();

} // namespace petnet::kernels
