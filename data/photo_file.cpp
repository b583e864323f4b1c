// SPDX-License-Identifier: Apache-2.0
#include "data/photo_file.hpp"

#include "base/files.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace petnet::data {
namespace {

constexpr std::size_t largest_file = 256 * 1024 * 1024;
// A file that has grown since the listing is read as long as it is none that anybody need count.
constexpr std::size_t small_file = 4 * 1024 * 1024;

// What all shares of the process have taken.
struct taken_memory {
    std::mutex mutex;
    std::condition_variable freed;
    std::size_t bytes = 0;
};

taken_memory& taken() {
    static taken_memory it;
    return it;
}

} // namespace

bool decode_share::grow_to(std::size_t bytes) {
    bytes = std::min(bytes, max_decode_bytes);
    const std::lock_guard lock(taken().mutex);
    if (bytes > bytes_ && taken().bytes + bytes - bytes_ > max_decode_bytes) return false;
    taken().bytes += bytes - bytes_;
    bytes_ = bytes;
    return true;
}

void decode_share::exchange_for(std::size_t bytes) {
    release();
    wait_for(bytes);
}

void decode_share::wait_for(std::size_t bytes) {
    bytes = std::min(bytes, max_decode_bytes);
    std::unique_lock lock(taken().mutex);
    taken().freed.wait(lock, [bytes] { return taken().bytes + bytes <= max_decode_bytes; });
    taken().bytes += bytes;
    bytes_ = bytes;
}

void decode_share::release() {
    {
        const std::lock_guard lock(taken().mutex);
        taken().bytes -= std::exchange(bytes_, 0);
    }
    taken().freed.notify_all();
}

photo_file::photo_file(const std::filesystem::path& path, std::size_t expected, orientation turned)
    : share_(expected), bytes_(read_file(path, std::min(largest_file, std::max(expected, small_file)))) {
    const std::size_t needed = bytes_.size() + decode_bytes(bytes_, turned);
    if (share_.grow_to(needed)) return;
    bytes_ = std::vector<std::byte>(); // {} alone would keep the storage
    share_.exchange_for(needed);
    bytes_ = read_file(path, std::max(expected, small_file));
}

} // namespace petnet::data
