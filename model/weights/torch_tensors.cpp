// SPDX-License-Identifier: Apache-2.0
#include "model/weights/torch_tensors.hpp"

#include "model/weights/refusal.hpp"
#include "model/weights/state_dicts.hpp"
#include "model/weights/tensor_layout.hpp"
#include "model/weights/weight_sets.hpp"

#include <algorithm>
#include <array>

namespace petnet::model {
namespace {

using enum weight_dtype;

struct storage_type {
    std::string_view name;
    std::size_t element_size;
    std::optional<weight_dtype> dtype;
};
// Types without a dtype are known by size only: they may lie beside the weights, but not be weights.
constexpr std::array storage_types = {
    storage_type{"DoubleStorage", 8, f64},
    storage_type{"FloatStorage", 4, f32},
    storage_type{"HalfStorage", 2, f16},
    storage_type{"BFloat16Storage", 2, bf16},
    storage_type{"LongStorage", 8, i64},
    storage_type{"IntStorage", 4, i32},
    storage_type{"ShortStorage", 2, i16},
    storage_type{"CharStorage", 1, i8},
    storage_type{"ByteStorage", 1, u8},
    storage_type{"BoolStorage", 1, boolean},
    storage_type{"UntypedStorage", 1, std::nullopt},
    storage_type{"_UntypedStorage", 1, std::nullopt},
    storage_type{"ComplexFloatStorage", 8, std::nullopt},
    storage_type{"ComplexDoubleStorage", 16, std::nullopt},
    storage_type{"QInt8Storage", 1, std::nullopt},
    storage_type{"QUInt8Storage", 1, std::nullopt},
    storage_type{"QInt32Storage", 4, std::nullopt},
};

std::optional<weight_dtype> dtype_of(std::string_view global) {
    constexpr std::string_view module = "torch.";
    if (!global.starts_with(module)) return std::nullopt;
    for (auto dtype : {f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean})
        if (global.substr(module.size()) == to_string(dtype)) return dtype;
    return std::nullopt;
}

class state_dict_reader {
  public:
    state_dict_reader(const pickle_machine& machine,
                      const std::unordered_map<std::string_view, std::span<const std::byte>>& storages,
                      std::size_t file_size, std::string_view file, const std::shared_ptr<const void>& owner)
        : machine_(machine),
          storages_(storages),
          file_(file),
          owner_(owner),
          copies_left_(4 * static_cast<std::uint64_t>(file_size)) {}

    std::vector<weight_tensor> read(const pickle_value& state_dict) {
        const auto items = machine_.items(state_dict);
        std::unordered_map<std::string_view, std::size_t> places;
        std::vector<weight_tensor> tensors;
        for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
            if (items[i].kind != pickle_kind::text || !is_tensor(items[i + 1])) continue;
            const std::string_view name = machine_.text(items[i]);
            // A key given twice keeps its place and takes the last value, as in Python.
            const auto [place, is_new] = places.emplace(name, tensors.size());
            if (is_new && tensors.size() == largest_tensor_count)
                refuse(file_, "it has more than 100000 tensors");
            if (is_new) tensors.emplace_back();
            tensors[place->second] = tensor(name, items[i + 1]);
        }
        return tensors;
    }

  private:
    weight_tensor tensor(std::string_view name, const pickle_value& call) {
        const auto fail = [&](const std::string& reason) {
            refuse(file_, "tensor " + printable(name) + " " + reason);
        };
        // storage, offset, sizes, strides, requires_grad, backward hooks, [v3: dtype,] [metadata]
        const auto arguments = machine_.items(machine_.items(call)[0]);
        const bool v3 = call.number == static_cast<std::int64_t>(pickle_function::rebuild_tensor_v3);
        if (arguments.size() < (v3 ? 7u : 4u) || arguments[0].kind != pickle_kind::persistent ||
            arguments[1].kind != pickle_kind::integer)
            fail("is not described as PyTorch does it");
        const torch_storage storage = storage_of(machine_, machine_.items(arguments[0])[0], file_);
        const auto dtype = v3 ? dtype_of(machine_.text(arguments[6])) : storage.dtype;
        if (!dtype)
            fail("has the type " + printable(v3 ? machine_.text(arguments[6]) : storage.type) +
                 ", which petnet does not read");
        // The metadata are marks of a lazy negation or conjugation.
        const std::size_t metadata = v3 ? 7 : 6;
        if (arguments.size() > metadata && !machine_.items(arguments[metadata]).empty())
            fail("is a lazily negated one; expected plain values");

        weight_tensor result{std::string(name), *dtype, numbers(name, arguments[2]), {}, owner_};
        std::vector<std::int64_t> strides = numbers(name, arguments[3]);
        if (strides.size() != result.shape.size())
            fail("has " + std::to_string(strides.size()) + " strides for " +
                 std::to_string(result.shape.size()) + " dimensions");
        const std::size_t size = element_size(*dtype);
        const auto bytes = contiguous_bytes(result.shape, size);
        if (!bytes) fail("has the impossible shape " + shape_text(result.shape));
        if (*bytes == 0) return result;

        const auto extent = strided_extent(result.shape, strides, arguments[1].number);
        const std::span<const std::byte> content = content_of(storage);
        if (!extent || *extent > content.size() / size)
            fail("of shape " + shape_text(result.shape) + " and strides " + shape_text(strides) +
                 " reaches beyond its storage of " + std::to_string(content.size()) + " bytes");
        const auto from_offset = content.subspan(static_cast<std::size_t>(arguments[1].number) * size);
        if (is_contiguous(result.shape, strides)) {
            result.bytes = from_offset.first(static_cast<std::size_t>(*bytes));
            return result;
        }
        if (*bytes > copies_left_) fail("is, with others, spread over far more elements than the file holds");
        copies_left_ -= *bytes;
        for (std::size_t d = 0; d < strides.size(); ++d)
            if (result.shape[d] == 1) strides[d] = 0;
        auto copy = std::make_shared_for_overwrite<std::byte[]>(static_cast<std::size_t>(*bytes));
        copy_row_major(from_offset.data(), result.shape, strides, size, copy.get());
        result.bytes = {copy.get(), static_cast<std::size_t>(*bytes)};
        result.storage = std::move(copy);
        return result;
    }

    std::vector<std::int64_t> numbers(std::string_view name, const pickle_value& tuple) const {
        const auto items = machine_.items(tuple);
        const bool plain = tuple.kind == pickle_kind::tuple && items.size() <= largest_rank &&
                           std::all_of(items.begin(), items.end(), [](const pickle_value& item) {
                               return item.kind == pickle_kind::integer;
                           });
        if (!plain)
            refuse(file_,
                   "tensor " + printable(name) + " has sizes or strides that are no tuple of integers");
        std::vector<std::int64_t> result;
        for (const pickle_value& item : items) result.push_back(item.number);
        return result;
    }

    // As many bytes as the storage says it has; throws where the file holds fewer.
    std::span<const std::byte> content_of(const torch_storage& storage) const {
        const auto found = storages_.find(storage.key);
        if (found == storages_.end()) refuse(file_, "storage " + printable(storage.key) + " is missing");
        const auto stored = found->second;
        if (storage.elements > stored.size() / storage.element_size)
            refuse(file_, "storage " + printable(storage.key) + " should have " +
                              std::to_string(storage.elements) + " elements of " +
                              std::to_string(storage.element_size) + " bytes, but the file holds " +
                              std::to_string(stored.size()) + " bytes of it");
        return stored.first(static_cast<std::size_t>(storage.elements) * storage.element_size);
    }

    const pickle_machine& machine_;
    const std::unordered_map<std::string_view, std::span<const std::byte>>& storages_;
    std::string_view file_;
    const std::shared_ptr<const void>& owner_;
    // Expanded tensors can stand for any number of elements in a small file; all copies together stay below
    // this.
    std::uint64_t copies_left_;
};

} // namespace

torch_storage storage_of(const pickle_machine& machine, const pickle_value& persistent,
                         std::string_view file) {
    const auto items = machine.items(persistent);
    if (persistent.kind != pickle_kind::tuple || items.size() < 5 || machine.text(items[0]) != "storage" ||
        items[1].kind != pickle_kind::global || items[2].kind != pickle_kind::text ||
        items[4].kind != pickle_kind::integer || items[4].number < 0)
        refuse(file, "it refers to something outside that is not a storage as torch.save describes it");
    if (items.size() > 5 && items[5].kind != pickle_kind::none)
        refuse(file,
               "storage " + printable(machine.text(items[2])) +
                   " is a view of another one, as PyTorch before 0.4 wrote it; save it with a newer PyTorch");
    torch_storage result{machine.text(items[1]), machine.text(items[2]),
                         static_cast<std::uint64_t>(items[4].number), 0, std::nullopt};
    for (std::string_view module : {"torch.", "torch.cuda.", "torch.storage."})
        for (const storage_type& type : storage_types)
            if (result.type.starts_with(module) && result.type.substr(module.size()) == type.name) {
                result.element_size = type.element_size;
                result.dtype = type.dtype;
            }
    if (result.element_size == 0)
        refuse(file, "storage " + printable(result.key) + " has the unknown type " + printable(result.type));
    return result;
}

weight_file weights_of(const pickle_machine& machine, const pickle_value& root,
                       const std::unordered_map<std::string_view, std::span<const std::byte>>& storages,
                       std::size_t file_size, std::string_view file, const std::shared_ptr<const void>& owner,
                       std::string_view key) {
    found_state_dict found = find_state_dict(machine, root, key, file);
    weight_file result;
    result.tensors = state_dict_reader(machine, storages, file_size, file, owner).read(found.tensors);
    if (found.places.size() > 1) result.sets = std::move(found.places);
    if (!found.rest.empty()) keep_set(result, found.rest, file);
    return result;
}

} // namespace petnet::model
