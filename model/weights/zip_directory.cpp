// SPDX-License-Identifier: Apache-2.0
// Follows PKWARE's APPNOTE.TXT 6.3: end-of-directory record (4.3.16), its zip64 form (4.3.14, 4.3.15),
// central directory header (4.3.12), local header (4.3.7), zip64 extra field (4.5.3).
#include "model/weights/zip_directory.hpp"

#include "model/weights/byte_cursor.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace petnet::model {
namespace {

using byte_span = std::span<const std::byte>;

constexpr std::uint32_t local_signature = 0x04034b50, central_signature = 0x02014b50,
                        end_signature = 0x06054b50, zip64_end_signature = 0x06064b50,
                        zip64_locator_signature = 0x07064b50;
constexpr std::size_t end_size = 22, zip64_locator_size = 20;
constexpr std::size_t largest_comment = 65535;
constexpr std::uint32_t in_zip64_32 = 0xffffffff;

// Where the central directory is, in bytes from the archive's beginning.
struct directory_place {
    std::uint64_t entries = 0, size = 0, offset = 0;
};

struct central_entry {
    std::string_view name;
    std::uint64_t size = 0, local_offset = 0;
    bool compressed = false;
};

class zip_reader {
  public:
    zip_reader(byte_span bytes, std::string_view file) : bytes_(bytes), file_(file) {}

    zip_directory read() {
        const directory_place place = find_directory();
        std::vector<byte_span> extents; // header and content of each entry
        zip_directory result;
        byte_cursor directory = cursor(place.offset, place.size, "the zip directory");
        for (std::uint64_t i = 0; i < place.entries; ++i) {
            const central_entry entry = read_entry(directory);
            byte_span content;
            if (entry.compressed) {
                if (result.compressed.empty()) result.compressed = entry.name;
            } else {
                content = content_of(entry, place.offset);
                extents.emplace_back(bytes_.data() + entry.local_offset, content.data() + content.size());
            }
            if (!result.entries.emplace(entry.name, content).second)
                fail("it has " + printable(entry.name) + " twice");
        }
        std::sort(extents.begin(), extents.end(),
                  [](byte_span a, byte_span b) { return a.data() < b.data(); });
        for (std::size_t i = 1; i < extents.size(); ++i)
            if (extents[i].data() < extents[i - 1].data() + extents[i - 1].size())
                fail("its entries overlap");
        return result;
    }

  private:
    [[noreturn]] void fail(const std::string& reason) const {
        refuse(file_, "the zip archive is damaged or cut short: " + reason);
    }

    byte_cursor cursor(std::uint64_t offset, std::uint64_t size, std::string_view part) const {
        if (offset > bytes_.size() || size > bytes_.size() - offset)
            fail(std::string(part) + " lies outside the file");
        return {bytes_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)), file_,
                part};
    }

    // The end record is the last one whose comment ends with the file.
    std::size_t find_end_record() const {
        if (bytes_.size() >= end_size) {
            const std::size_t last = bytes_.size() - end_size;
            const std::size_t first = last > largest_comment ? last - largest_comment : 0;
            for (std::size_t at = last + 1; at-- > first;) {
                byte_cursor end = cursor(at, end_size, "the end record");
                if (end.read<std::uint32_t>() != end_signature) continue;
                end.skip(16);
                if (end.read<std::uint16_t>() == last - at) return at;
            }
        }
        fail("it has no end-of-directory record");
    }

    directory_place find_directory() const {
        const std::size_t at = find_end_record();
        byte_cursor end = cursor(at, end_size, "the end record");
        end.skip(4);
        const auto disk = end.read<std::uint16_t>(), directory_disk = end.read<std::uint16_t>();
        const auto entries_here = end.read<std::uint16_t>();
        directory_place place;
        place.entries = end.read<std::uint16_t>();
        place.size = end.read<std::uint32_t>();
        place.offset = end.read<std::uint32_t>();
        std::uint64_t directory_end = at;
        if (const auto zip64_at = find_zip64_end(at)) {
            directory_end = *zip64_at;
            byte_cursor zip64 = cursor(*zip64_at, 56, "the zip64 end record");
            if (zip64.read<std::uint32_t>() != zip64_end_signature) fail("its zip64 end record is missing");
            zip64.skip(20); // record size, versions, disk numbers
            if (const auto here = zip64.read<std::uint64_t>();
                here != (place.entries = zip64.read<std::uint64_t>()))
                fail("it is split over several files");
            place.size = zip64.read<std::uint64_t>();
            place.offset = zip64.read<std::uint64_t>();
        } else if (disk != 0 || directory_disk != 0 || entries_here != place.entries) {
            fail("it is split over several files");
        }
        if (place.offset > directory_end || place.size > directory_end - place.offset)
            fail("its directory lies outside the file");
        return place;
    }

    // Offset of the zip64 end record, where there is one.
    std::optional<std::uint64_t> find_zip64_end(std::size_t end_at) const {
        if (end_at < zip64_locator_size) return std::nullopt;
        byte_cursor locator = cursor(end_at - zip64_locator_size, zip64_locator_size, "the zip64 locator");
        if (locator.read<std::uint32_t>() != zip64_locator_signature) return std::nullopt;
        locator.skip(4);
        const auto offset = locator.read<std::uint64_t>();
        if (offset > end_at) fail("its zip64 end record lies outside the file");
        return offset;
    }

    central_entry read_entry(byte_cursor& directory) const {
        if (directory.read<std::uint32_t>() != central_signature) fail("its directory holds something else");
        directory.skip(4); // versions
        const auto flags = directory.read<std::uint16_t>(), method = directory.read<std::uint16_t>();
        directory.skip(8); // time, date, checksum
        central_entry entry;
        std::uint64_t packed_size = directory.read<std::uint32_t>();
        entry.size = directory.read<std::uint32_t>();
        const auto name_length = directory.read<std::uint16_t>(),
                   extra_length = directory.read<std::uint16_t>(),
                   comment_length = directory.read<std::uint16_t>();
        directory.skip(8); // disk, attributes
        entry.local_offset = directory.read<std::uint32_t>();
        entry.name = directory.text(name_length);
        byte_cursor extra(directory.take(extra_length), file_, "a zip64 field");
        directory.skip(comment_length);
        while (extra.remaining() >= 4) {
            const auto id = extra.read<std::uint16_t>(), size = extra.read<std::uint16_t>();
            byte_cursor field(extra.take(size), file_, "a zip64 field");
            if (id != 1) continue;
            for (std::uint64_t* value : {&entry.size, &packed_size, &entry.local_offset})
                if (*value == in_zip64_32) *value = field.read<std::uint64_t>();
        }
        if ((flags & 1) != 0) refuse(file_, "the zip entry " + printable(entry.name) + " is encrypted");
        entry.compressed = method != 0;
        if (!entry.compressed && packed_size != entry.size)
            fail("the sizes of " + printable(entry.name) + " disagree");
        return entry;
    }

    byte_span content_of(const central_entry& entry, std::uint64_t directory_offset) const {
        if (entry.local_offset > directory_offset) fail(printable(entry.name) + " lies outside the file");
        byte_cursor local = cursor(entry.local_offset, directory_offset - entry.local_offset, "a zip entry");
        if (local.read<std::uint32_t>() != local_signature)
            fail(printable(entry.name) + " is not where it should be");
        local.skip(22); // repeats of what the directory says, or zeros
        const auto name_length = local.read<std::uint16_t>(), extra_length = local.read<std::uint16_t>();
        if (local.text(name_length) != entry.name)
            fail(printable(entry.name) + " has another name at its place");
        local.skip(extra_length);
        return local.take(entry.size);
    }

    byte_span bytes_;
    std::string_view file_;
};

} // namespace

zip_directory read_zip_directory(byte_span bytes, std::string_view file) {
    return zip_reader(bytes, file).read();
}

} // namespace petnet::model
