// SPDX-License-Identifier: Apache-2.0
// Reading and writing whole files. Every failure is an input_error (reading) or an environment_error
// (writing) that names the file and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petnet {

// A read-only memory map of a whole file; empty files map to an empty span.
class mapped_file {
  public:
    explicit mapped_file(const std::filesystem::path& path);
    ~mapped_file();
    mapped_file(const mapped_file&) = delete; // owns the mapping
    mapped_file& operator=(const mapped_file&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  private:
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

// The whole file; refuses (input_error) anything larger than `limit` bytes before reading it.
[[nodiscard]] std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t limit);

// The same as text in UTF-8, without a byte order mark; input_error also where a mark says that it is UTF-16.
[[nodiscard]] std::string read_text(const std::filesystem::path& path, std::size_t limit);

// Writes to a temporary name in the same folder, flushes to the disk, renames: readers see the old file or
// the whole new one, never a part. A link stays, and leads to the new file; into what is no file (a device, a
// pipe) the bytes are written as they come. `produce` is called once with a sink it may call any number of
// times.
using byte_sink = std::function<void(std::span<const std::byte>)>;
void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(const byte_sink&)>& produce);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// Lower-case hexadecimal. MD5 only to recognise files whose publishers give no better: it tells damage, not
// forgery.
[[nodiscard]] std::string sha256(std::span<const std::byte> bytes);
[[nodiscard]] std::string md5(std::span<const std::byte> bytes);

} // namespace petnet
