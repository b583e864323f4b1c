// SPDX-License-Identifier: Apache-2.0
#include "model/weights/torch_file.hpp"

#include "model/weights/byte_cursor.hpp"
#include "model/weights/torch_tensors.hpp"
#include "model/weights/zip_directory.hpp"

#include <unordered_map>

namespace petnet::model {
namespace {

using byte_span = std::span<const std::byte>;
using storage_map = std::unordered_map<std::string_view, byte_span>;

// torch.serialization.MAGIC_NUMBER and PROTOCOL_VERSION.
constexpr std::string_view legacy_magic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr std::int64_t legacy_version = 1001;

[[noreturn]] void refuse_big_endian(std::string_view file) {
    refuse(file, "it was written on a big-endian machine; expected little-endian");
}

void require_little_endian_system(const pickle_machine& machine, const pickle_value& system,
                                  std::string_view file) {
    const auto items = machine.items(system);
    for (std::size_t i = 0; i + 1 < items.size(); i += 2)
        if (machine.text(items[i]) == "little_endian" && items[i + 1].number == 0) refuse_big_endian(file);
}

} // namespace

weight_file read_torch_zip(byte_span bytes, std::string_view file, const std::shared_ptr<const void>& owner,
                           std::string_view key) {
    const zip_directory archive = read_zip_directory(bytes, file);
    const auto& entries = archive.entries;
    constexpr std::string_view pickle_name = "/data.pkl";
    std::string_view root;
    for (const auto& [name, content] : entries)
        if (name.ends_with(pickle_name) && name.find('/') == name.size() - pickle_name.size()) {
            if (!root.empty()) refuse(file, "a zip archive with more than one data.pkl; expected one model");
            root = name.substr(0, name.size() - pickle_name.size());
        }
    if (root.empty())
        refuse(file, "a zip archive, but not one that torch.save wrote: there is no data.pkl in it");
    const auto entry = [&](std::string_view name) {
        return entries.find(std::string(root) + std::string(name));
    };
    const std::string code = std::string(root) + "/code/";
    const auto first_code = entries.lower_bound(code);
    if (entry("/constants.pkl") != entries.end() ||
        (first_code != entries.end() && first_code->first.starts_with(code)))
        refuse(file,
               "a TorchScript program (torch.jit.save); expected a state dict, which Python makes of it: "
               "torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)");
    if (!archive.compressed.empty())
        refuse(file, "the zip entry " + printable(archive.compressed) +
                         " is compressed; expected what torch.save writes, which is stored as it is");
    if (const auto order = entry("/byteorder");
        order != entries.end() && byte_cursor::as_text(order->second) != "little")
        refuse_big_endian(file);

    storage_map storages;
    const std::string folder = std::string(root) + "/data/";
    for (auto at = entries.lower_bound(folder); at != entries.end() && at->first.starts_with(folder); ++at)
        storages.emplace(at->first.substr(folder.size()), at->second);
    pickle_machine machine(file);
    const pickle_value value = machine.run(entry(pickle_name)->second).first;
    return weights_of(machine, value, storages, bytes.size(), file, owner, key);
}

weight_file read_torch_legacy(byte_span bytes, std::string_view file,
                              const std::shared_ptr<const void>& owner, std::string_view key) {
    pickle_machine machine(file);
    byte_cursor cursor(bytes, file, "the file");
    const auto next_pickle = [&] {
        const auto [value, size] = machine.run(bytes.subspan(cursor.position()));
        cursor.skip(size);
        return value;
    };
    if (machine.text(next_pickle()) != legacy_magic)
        refuse(file,
               "a Python pickle, but not one that torch.save wrote; expected safetensors or a torch .pth");
    if (const pickle_value version = next_pickle();
        version.kind != pickle_kind::integer || version.number != legacy_version)
        refuse(file, "it has an unknown version of PyTorch's old format; expected " +
                         std::to_string(legacy_version));
    require_little_endian_system(machine, next_pickle(), file);
    const pickle_value value = next_pickle();
    const pickle_value keys = next_pickle();

    std::unordered_map<std::string_view, std::size_t> element_sizes;
    for (const pickle_value& persistent : machine.persistents()) {
        const torch_storage storage = storage_of(machine, persistent, file);
        element_sizes.emplace(storage.key, storage.element_size);
    }
    storage_map storages;
    for (const pickle_value& name : machine.items(keys)) {
        const auto size = element_sizes.find(machine.text(name));
        if (size == element_sizes.end())
            refuse(file, "storage " + printable(machine.text(name)) + " belongs to no tensor");
        const auto elements = cursor.read<std::uint64_t>();
        if (elements > cursor.remaining() / size->second)
            refuse(file, "storage " + printable(size->first) + " should have " + std::to_string(elements) +
                             " elements, but the file ends before; it is damaged or cut short");
        storages.emplace(size->first, cursor.take(elements * size->second));
    }
    return weights_of(machine, value, storages, bytes.size(), file, owner, key);
}

} // namespace petnet::model
