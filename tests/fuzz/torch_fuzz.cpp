// SPDX-License-Identifier: Apache-2.0
// Feeds arbitrary bytes to the reader of torch files: as a file of any format, and as the pickle of a zip
// archive that is otherwise right, since mutations seldom leave an archive whole. Seeds: torch_fuzz CORPUS
// tests/golden/checkpoints tests/golden/checkpoints/hostile
#include "base/errors.hpp"
#include "model/weights/pickle_machine.hpp"
#include "model/weights/torch_tensors.hpp"
#include "model/weights/weight_file.hpp"

#include <array>

using namespace petnet;

namespace {

template <typename action> void unless_refused(action&& act) {
    try {
        act();
    } catch (const input_error&) {
        // refusing is what most inputs deserve
    }
}

void use(const std::vector<model::weight_tensor>& tensors) {
    for (const model::weight_tensor& tensor : tensors) (void)tensor.to_float32();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    unless_refused([&] { use(model::read_weight_bytes(bytes, "input").tensors); });
    unless_refused([&] {
        static constexpr std::array<std::byte, 512> storage{};
        model::pickle_machine machine("input");
        const model::pickle_value value = machine.run(bytes).first;
        use(model::weights_of(machine, value, {{"0", storage}, {"1", storage}}, size, "input", nullptr, {})
                .tensors);
    });
    return 0;
}
