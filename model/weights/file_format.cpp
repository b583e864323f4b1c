// SPDX-License-Identifier: Apache-2.0
#include "model/weights/file_format.hpp"

#include "model/weights/byte_cursor.hpp"
#include "model/weights/safetensors.hpp"

#include <algorithm>
#include <array>

namespace petnet::model {
namespace {

using namespace std::string_view_literals;

struct known_beginning {
    std::string_view bytes; // lower case
    std::string_view description;
};
// What people hand over by mistake: failed downloads, archives, models of other programs, photographs.
constexpr std::array beginnings = {
    known_beginning{"<!doctype html"sv, "an HTML page"},
    known_beginning{"<html"sv, "an HTML page"},
    known_beginning{"<?xml"sv, "an XML document"},
    known_beginning{"version https://git-lfs"sv,
                    "a Git LFS pointer; fetch the file itself with 'git lfs pull'"},
    known_beginning{"\x1f\x8b"sv, "a gzip archive; unpack it first"},
    known_beginning{"\xfd"
                    "7zxz"sv,
                    "an xz archive; unpack it first"},
    known_beginning{"bzh"sv, "a bzip2 archive; unpack it first"},
    known_beginning{"\x89hdf"sv, "an HDF5 file (Keras)"},
    known_beginning{"gguf"sv, "a GGUF file"},
    known_beginning{"\x93numpy"sv, "a NumPy array"},
    known_beginning{"\xff\xd8\xff"sv, "a JPEG photograph"},
    known_beginning{"\x89png"sv, "a PNG image"},
    known_beginning{"%pdf"sv, "a PDF document"},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool begins_with(std::string_view text, std::string_view lower_case_beginning) {
    return text.size() >= lower_case_beginning.size() &&
           std::equal(lower_case_beginning.begin(), lower_case_beginning.end(), text.begin(),
                      [](char expected, char found) { return expected == lower(found); });
}

} // namespace

file_format recognise(std::span<const std::byte> bytes) noexcept {
    const std::string_view text = byte_cursor::as_text(bytes);
    if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) return file_format::torch_zip;
    if (text.size() >= 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5)
        return file_format::torch_legacy;
    if (text.size() >= 9) {
        std::uint64_t header_length;
        std::memcpy(&header_length, bytes.data(), sizeof header_length);
        // The length of a header that fits, or what must follow it: enough for the reader to say what is
        // wrong.
        if (text[8] == '{' ||
            (header_length >= 2 &&
             header_length <= std::min<std::uint64_t>(bytes.size() - 8, largest_safetensors_header)))
            return file_format::safetensors;
    }
    return file_format::unknown;
}

std::string describe_unknown(std::span<const std::byte> bytes) {
    if (bytes.empty()) return "it is empty";
    std::string_view text = byte_cursor::as_text(bytes);
    constexpr std::size_t tar_magic_offset = 257;
    if (text.size() > tar_magic_offset && text.substr(tar_magic_offset).starts_with("ustar"))
        return "it looks like a tar archive; unpack it first";
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    for (const auto& [beginning, description] : beginnings)
        if (begins_with(text, beginning)) return "it looks like " + std::string(description);
    if (text.starts_with('{') || text.starts_with('[')) return "it looks like JSON text";
    return "it begins with " +
           printable(byte_cursor::as_text(bytes.first(std::min<std::size_t>(bytes.size(), 8))));
}

} // namespace petnet::model
