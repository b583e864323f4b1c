// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/reference_backend.hpp"

#include "base/errors.hpp"
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <cstring>
#include <new>
#include <stdexcept>
#include <type_traits>

namespace petnet::kernels {
namespace {

using namespace reference;

// Where each element of the row-major order lies in storage: visit(row-major index, storage index).
template <class Visit> void for_each_place(const tensor_desc& desc, const Visit& visit) {
    const shape& dims = desc.dims;
    if (desc.layout != channels_last) {
        for (std::int64_t i = 0; i < dims.elements(); ++i) visit(i, i);
        return;
    }
    const std::int64_t channels = dims[1], plane = dims[2] * dims[3];
    for (std::int64_t n = 0, i = 0; n < dims[0]; ++n)
        for (std::int64_t c = 0; c < channels; ++c)
            for (std::int64_t at = 0; at < plane; ++at, ++i) visit(i, (n * plane + at) * channels + c);
}

void require(bool holds, const std::string& what) {
    if (!holds) throw std::logic_error("the reference backend: " + what);
}

// T stores f32 tensors.
template <class T> class reference_backend final : public backend {
  public:
    [[nodiscard]] std::string name() const override { return is_double ? "reference-double" : "reference"; }
    [[nodiscard]] std::string device() const override {
        return is_double ? "plain loops in float64, one thread" : "plain loops, one thread";
    }
    [[nodiscard]] bool supports(dtype activations) const override {
        return activations == dtype::f32 || (is_floating(activations) && !is_double);
    }
    [[nodiscard]] dtype fastest() const override { return dtype::f32; }

    [[nodiscard]] tensor_desc activation(dtype type, const shape& dims) const override {
        return {type, dims, dims.rank() == shape::max_rank ? channels_last : 0};
    }
    [[nodiscard]] tensor_desc convolution_weights(const convolution_shape& shape, dtype) const override {
        return {dtype::f32, shape.w(), channels_last};
    }

    [[nodiscard]] std::size_t storage_bytes(const tensor_desc& desc) const override {
        return static_cast<std::size_t>(desc.dims.elements()) * element_bytes(desc.type);
    }
    [[nodiscard]] device_memory allocate(std::size_t bytes) override {
        constexpr std::align_val_t alignment{memory_alignment};
        auto* memory = static_cast<std::byte*>(::operator new(bytes, alignment, std::nothrow));
        if (memory == nullptr)
            throw environment_error("not enough memory: " + std::to_string(bytes) + " bytes were asked for");
        return {memory, [](std::byte* data) { ::operator delete(data, alignment); }};
    }

    void write(const tensor_view& to, std::span<const float> values) override { write_values(to, values); }
    void write(const tensor_view& to, std::span<const double> values) override { write_values(to, values); }
    void read(const tensor_view& from, std::span<float> values) override { read_values(from, values); }
    void read(const tensor_view& from, std::span<double> values) override { read_values(from, values); }
    void write_bytes(const tensor_view& to, std::span<const std::byte> bytes) override {
        require_size(to, bytes.size(), storage_bytes(to.desc));
        const std::size_t size = element_bytes(to.desc.type);
        for_each_place(to.desc, [&](std::int64_t i, std::int64_t place) {
            std::memcpy(to.data + static_cast<std::size_t>(place) * size,
                        bytes.data() + static_cast<std::size_t>(i) * size, size);
        });
    }
    void read_bytes(const tensor_view& from, std::span<std::byte> bytes) override {
        require_size(from, bytes.size(), storage_bytes(from.desc));
        const std::size_t size = element_bytes(from.desc.type);
        for_each_place(from.desc, [&](std::int64_t i, std::int64_t place) {
            std::memcpy(bytes.data() + static_cast<std::size_t>(i) * size,
                        from.data + static_cast<std::size_t>(place) * size, size);
        });
    }
    void clear(const tensor_view& view) override { std::memset(view.data, 0, storage_bytes(view.desc)); }

    [[nodiscard]] std::unique_ptr<operation> prepare(const operation_params& op) override {
        check_contract(op);
        check_descriptors(op);
        return std::visit([](const auto& specific) { return reference::prepare<T>(specific); }, op);
    }

    [[nodiscard]] std::span<float> host_values(const tensor_view& view) override {
        if constexpr (is_double) return {};
        return {reinterpret_cast<float*>(view.data), storage_bytes(view.desc) / sizeof(float)};
    }

  private:
    static constexpr bool is_double = std::is_same_v<T, double>;

    static std::size_t element_bytes(dtype type) {
        switch (type) {
        case dtype::f32:
            return sizeof(T);
        case dtype::bf16:
        case dtype::f16:
            return sizeof(bfloat16);
        case dtype::u8:
            return sizeof(std::uint8_t);
        case dtype::i32:
            return sizeof(std::int32_t);
        case dtype::u64:
            break;
        }
        return sizeof(std::uint64_t);
    }

    static void require_size(const tensor_view& view, std::size_t actual, std::size_t expected) {
        require(actual == expected, "a " + view.desc.dims.text() + " tensor has " + std::to_string(expected) +
                                        " values or bytes, not " + std::to_string(actual));
    }

    template <class Value> void write_values(const tensor_view& to, std::span<const Value> values) {
        require_size(to, values.size(), static_cast<std::size_t>(to.desc.dims.elements()));
        with_element<T>(to.desc.type, [&]<class Element>(Element) {
            for_each_place(to.desc, [&](std::int64_t i, std::int64_t place) {
                store(elements<Element>(to)[place], load(values[static_cast<std::size_t>(i)]));
            });
        });
    }
    template <class Value> void read_values(const tensor_view& from, std::span<Value> values) {
        require_size(from, values.size(), static_cast<std::size_t>(from.desc.dims.elements()));
        with_element<T>(from.desc.type, [&]<class Element>(Element) {
            for_each_place(from.desc, [&](std::int64_t i, std::int64_t place) {
                store(values[static_cast<std::size_t>(i)], load(elements<const Element>(from)[place]));
            });
        });
    }

    // Adam works on elements alone, so that any layout will do; photographs come row-major.
    void check_descriptors(const operation_params& op) const {
        for_each_operand(op, [&](std::string_view name, const tensor_view& view, access) {
            require(view.data != nullptr, std::string(name) + " has no address");
            require(!is_floating(view.desc.type) || supports(view.desc.type),
                    "no 16 bits in double precision");
            if (std::holds_alternative<adam_step>(op) || std::holds_alternative<loss_scale_update>(op))
                return;
            const bool row_major = view.desc.dims.rank() != shape::max_rank || name == "pixels";
            const std::uint32_t layout = row_major ? 0 : channels_last;
            require(view.desc.layout == layout, std::string(name) + " must have layout " +
                                                    std::to_string(layout) + ", not " +
                                                    std::to_string(view.desc.layout));
        });
    }
};

} // namespace

std::unique_ptr<backend> make_reference_backend() { return std::make_unique<reference_backend<float>>(); }

std::unique_ptr<backend> make_reference_double_backend() {
    return std::make_unique<reference_backend<double>>();
}

} // namespace petnet::kernels
