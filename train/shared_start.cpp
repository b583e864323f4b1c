// SPDX-License-Identifier: Apache-2.0
#include "train/shared_start.hpp"

#include "base/errors.hpp"
#include "base/random.hpp"
#include "model/model_file.hpp"

#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace petnet::train {
namespace {

std::string_view characters(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Of the parameters as they are stored: equal values give equal hashes in equal layouts only. 0 where the
// host cannot see them.
std::uint64_t hash_of_storage(const training_setup& setup) {
    std::uint64_t hash = 0;
    for (const model::parameter& each : setup.parameters.trained()) {
        const std::span<const float> values = setup.parameters.device().host_values(each.value);
        if (!values.empty()) hash = splitmix64_finalise(hash ^ fnv1a_64(characters(std::as_bytes(values))));
    }
    return hash;
}

} // namespace

void require_same_run(ranks::communicator& group, const std::string& what) {
    const auto all = group.gather(std::as_bytes(std::span(what)));
    for (std::size_t rank = 1; rank < all.size(); ++rank)
        if (characters(all[rank]) != what)
            throw input_error("rank " + std::to_string(rank) +
                              " was started with other options, photographs or weights, on another kind of "
                              "device, or is another version of petnet than rank 0");
}

void share_start(const training_setup& setup, training_position& position) {
    ranks::communicator& group = setup.group;
    if (group.size() == 1) return;
    static_assert(std::is_trivially_copyable_v<training_position>, "sent as bytes");
    group.broadcast(std::as_writable_bytes(std::span(&position, 1)));
    const bool moments = position.step > 0; // else they are zero
    std::vector<model::weight_tensor> tensors = model::collect_state(setup.parameters, moments);
    for (model::weight_tensor& tensor : tensors) {
        const auto bytes = std::make_shared<std::vector<std::byte>>(tensor.bytes.begin(), tensor.bytes.end());
        group.broadcast(*bytes);
        tensor.bytes = *bytes;
        tensor.storage = bytes;
    }
    if (!group.leads()) {
        const model::weight_file state{std::move(tensors), {}};
        if (moments)
            model::restore_state(setup.parameters, state, "rank 0's state");
        else
            static_cast<void>(model::load_weights(setup.parameters, state, "rank 0's state"));
    }

    const std::uint64_t hash = hash_of_storage(setup);
    const auto hashes = group.gather(std::as_bytes(std::span(&hash, 1)));
    for (std::size_t rank = 1; rank < hashes.size(); ++rank)
        if (characters(hashes[rank]) != characters(hashes[0]))
            throw environment_error(
                "rank " + std::to_string(rank) +
                " has a processor of another kind than rank 0, which keeps the network in "
                "another order: the ranks need machines of one kind");
}

} // namespace petnet::train
