// SPDX-License-Identifier: Apache-2.0
// Hand-made pickles and zip archives like torch.save's, and unlike them.
#pragma once

#include "weight_test_support.hpp"

#include <utility>

namespace petnet::model::testing {

// Parts of pickles: each function returns the operations that push one value.
namespace pickled {
inline std::string text(std::string_view value) {
    return "X" + le<std::uint32_t>(static_cast<std::uint32_t>(value.size())) + std::string(value);
}
inline std::string integer(std::int64_t value) { return "\x8a\x08" + le(value); }
inline std::string tuple(std::initializer_list<std::string> items) {
    std::string result = "(";
    for (const std::string& item : items) result += item;
    return result + "t";
}
inline std::string integers(std::initializer_list<std::int64_t> values) {
    std::string result = "(";
    for (std::int64_t value : values) result += integer(value);
    return result + "t";
}
inline std::string global(std::string_view module, std::string_view name) {
    return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string call(const std::string& function, const std::string& arguments) {
    return function + arguments + "R";
}
inline std::string dictionary(std::initializer_list<std::pair<std::string, std::string>> items) {
    std::string result = "}(";
    for (const auto& [key, value] : items) result += text(key) + value;
    return result + "u";
}
inline std::string program(const std::string& value) { return "\x80\x02" + value + "."; }

inline std::string storage(std::int64_t elements, std::string_view type = "FloatStorage",
                           std::string_view key = "0") {
    return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(elements)}) + "Q";
}
inline std::string tensor(const std::string& on_storage, std::int64_t offset, const std::string& shape,
                          const std::string& strides) {
    return call(global("torch._utils", "_rebuild_tensor_v2"),
                tuple({on_storage, integer(offset), shape, strides, "\x89",
                       call(global("collections", "OrderedDict"), ")")}));
}
} // namespace pickled

struct zip_entry {
    std::string name, content;
    std::uint16_t method = 0;
    std::uint16_t flags = 0;
};

// A zip archive; with `zip64`, sizes and offsets stand in the zip64 fields and record only.
inline std::string zip(const std::vector<zip_entry>& entries, bool zip64 = false) {
    std::string archive, directory;
    const std::uint32_t hidden = 0xffffffff;
    for (const zip_entry& entry : entries) {
        const auto name_size = static_cast<std::uint16_t>(entry.name.size());
        const auto size = static_cast<std::uint32_t>(entry.content.size());
        const auto offset = static_cast<std::uint32_t>(archive.size());
        const std::string sizes = zip64 ? le(hidden) + le(hidden) : le(size) + le(size);
        const std::string extra = zip64 ? le<std::uint16_t>(1) + le<std::uint16_t>(24) +
                                              le<std::uint64_t>(size) + le<std::uint64_t>(size) +
                                              le<std::uint64_t>(offset)
                                        : "";
        const std::string common =
            le(entry.flags) + le(entry.method) + std::string(8, '\0') + sizes + le(name_size);
        archive +=
            "PK\x03\x04" + le<std::uint16_t>(20) + common + le<std::uint16_t>(0) + entry.name + entry.content;
        directory += "PK\x01\x02" + le<std::uint16_t>(20) + le<std::uint16_t>(20) + common +
                     le(static_cast<std::uint16_t>(extra.size())) + std::string(10, '\0') +
                     (zip64 ? le(hidden) : le(offset)) + entry.name + extra;
    }
    const auto count = static_cast<std::uint16_t>(entries.size());
    const auto size = static_cast<std::uint32_t>(directory.size()),
               offset = static_cast<std::uint32_t>(archive.size());
    archive += directory;
    if (zip64) {
        const auto end = archive.size();
        archive += "PK\x06\x06" + le<std::uint64_t>(44) + std::string(12, '\0') + le<std::uint64_t>(count) +
                   le<std::uint64_t>(count) + le<std::uint64_t>(size) + le<std::uint64_t>(offset);
        archive += "PK\x06\x07" + le<std::uint32_t>(0) + le<std::uint64_t>(end) + le<std::uint32_t>(1);
        return archive + "PK\x05\x06" + std::string(4, '\0') + "\xff\xff\xff\xff" + le(hidden) + le(hidden) +
               le<std::uint16_t>(0);
    }
    return archive + "PK\x05\x06" + std::string(4, '\0') + le(count) + le(count) + le(size) + le(offset) +
           le<std::uint16_t>(0);
}

// A torch zip file whose object is what `value` pushes, with one storage, "0".
inline std::string torch_zip(const std::string& value, const std::string& storage = "", bool zip64 = false) {
    return zip({{"archive/data.pkl", pickled::program(value)},
                {"archive/byteorder", "little"},
                {"archive/data/0", storage}},
               zip64);
}

// The same in the format before PyTorch 1.6.
inline std::string torch_legacy(const std::string& value, const std::string& storage_elements,
                                std::uint64_t element_count, bool little_endian = true) {
    using namespace pickled;
    return program("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + program(integer(1001)) +
           program(dictionary({{"little_endian", little_endian ? "\x88" : "\x89"}})) + program(value) +
           program("](" + text("0") + "e") + le(element_count) + storage_elements;
}

} // namespace petnet::model::testing
