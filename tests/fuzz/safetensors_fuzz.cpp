// SPDX-License-Identifier: Apache-2.0
// Feeds arbitrary bytes to the safetensors reader (as a plain file and inside the header).
// Seeds: safetensors_fuzz CORPUS tests/golden/checkpoints tests/golden/checkpoints/hostile
#include "base/errors.hpp"
#include "model/weights/weight_file.hpp"

#include <cstring>
#include <vector>

using namespace petnet;

namespace {

void read(std::span<const std::byte> bytes) {
    try {
        for (const model::weight_tensor& tensor : model::read_weight_bytes(bytes, "input").tensors)
            (void)tensor.to_float32();
    } catch (const input_error&) {
        // refusing is what most inputs deserve
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    read(bytes);
    // Once more as a header of the right length, so that mutations need not guess it.
    std::vector<std::byte> with_length(sizeof(std::uint64_t) + size);
    const std::uint64_t length = size;
    std::memcpy(with_length.data(), &length, sizeof length);
    if (size > 0) std::memcpy(with_length.data() + sizeof length, data, size);
    read(with_length);
    return 0;
}
