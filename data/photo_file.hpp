// SPDX-License-Identifier: Apache-2.0
// A photograph's file in memory, counted against what all threads of the process may take together.
#pragma once

#include "data/decode.hpp"

#include <cstddef>
#include <filesystem>
#include <vector>

namespace petnet::data {

// A share of the memory that all threads of the process may take for files and their decoding:
// max_decode_bytes together, so that a folder of huge pictures takes as much as one of them. Small
// photographs never wait.
class decode_share {
  public:
    explicit decode_share(std::size_t bytes) { wait_for(bytes); }
    ~decode_share() { release(); }
    decode_share(const decode_share&) = delete; // counted
    decode_share& operator=(const decode_share&) = delete;

    // Makes the share larger where that needs no waiting: who waits with a share in hand may wait for another
    // that does the same.
    [[nodiscard]] bool grow_to(std::size_t bytes);
    // Gives the share back and waits for another one.
    void exchange_for(std::size_t bytes);

  private:
    void wait_for(std::size_t bytes);
    void release();
    std::size_t bytes_ = 0;
};

// While it lives, its bytes and their decoding (once, as `turned` says) have their share.
class photo_file {
  public:
    // `expected` is the file's size when the folder was listed. input_error where it cannot be read or is
    // larger than 256 MB.
    photo_file(const std::filesystem::path& path, std::size_t expected,
               orientation turned = orientation::as_stored);
    [[nodiscard]] const std::vector<std::byte>& bytes() const noexcept { return bytes_; }

  private:
    decode_share share_;
    std::vector<std::byte> bytes_;
};

} // namespace petnet::data
