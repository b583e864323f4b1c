// SPDX-License-Identifier: Apache-2.0
#include "train/shared_validation.hpp"

#include <cstring>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>

namespace petnet::train {
namespace {

struct packed_answer { // its logits follow
    std::uint64_t photo = 0;
    std::int32_t label = 0, wrong = 0;
    float loss = 0;
    float unused = 0;
};

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> packed(const std::vector<graded_photo>& photos) {
    std::vector<std::byte> bytes;
    for (const graded_photo& photo : photos) {
        const packed_answer head{.photo = photo.answer.photo,
                                 .label = photo.answer.label,
                                 .wrong = photo.wrong ? 1 : 0,
                                 .loss = photo.loss};
        append(bytes, std::as_bytes(std::span(&head, 1)));
        append(bytes, std::as_bytes(std::span(photo.answer.logits)));
    }
    return bytes;
}

void unpack(std::span<const std::byte> bytes, std::size_t classes, std::vector<graded_photo>& to) {
    const std::size_t logits = classes * sizeof(float), each = sizeof(packed_answer) + logits;
    if (bytes.size() % each != 0) throw std::logic_error("a rank's answers have another number of classes");
    for (; !bytes.empty(); bytes = bytes.subspan(each)) {
        packed_answer head;
        std::memcpy(&head, bytes.data(), sizeof head);
        graded_photo& photo = to.emplace_back();
        photo.answer = {head.photo, head.label, std::vector<float>(classes)};
        std::memcpy(photo.answer.logits.data(), bytes.data() + sizeof head, logits);
        photo.loss = head.loss;
        photo.wrong = head.wrong != 0;
    }
}

} // namespace

void share_statistics(const training_setup& setup) {
    if (setup.group.size() == 1) return;
    kernels::backend& device = setup.parameters.device();
    std::vector<float> all;
    for (const model::running_statistic& each : setup.parameters.statistics()) {
        std::vector<float> values(static_cast<std::size_t>(each.value.desc.dims.elements()));
        device.read(each.value, std::span<float>(values));
        all.insert(all.end(), values.begin(), values.end());
    }
    setup.group.broadcast(std::as_writable_bytes(std::span(all)));
    if (setup.group.leads()) return;
    std::span<const float> left(all);
    for (const model::running_statistic& each : setup.parameters.statistics()) {
        const auto count = static_cast<std::size_t>(each.value.desc.dims.elements());
        device.write(each.value, left.first(count));
        left = left.subspan(count);
    }
}

shard shard_of(const std::vector<std::size_t>& photos, const ranks::communicator& group) {
    const auto size = static_cast<std::size_t>(group.size()), rank = static_cast<std::size_t>(group.rank());
    const auto begin_of = [&](std::size_t of) {
        return photos.begin() + static_cast<std::ptrdiff_t>(photos.size() * of / size);
    };
    return {{begin_of(rank), begin_of(rank + 1)}, (photos.size() + size - 1) / size};
}

std::vector<graded_photo> gathered(std::vector<graded_photo> own, std::size_t classes,
                                   ranks::communicator& group) {
    if (group.size() == 1) return own;
    std::vector<graded_photo> all;
    for (const auto& part : group.gather(packed(own))) unpack(part, classes, all);
    return all;
}

void share_findings(const training_setup& setup) {
    if (setup.group.size() == 1) return;
    std::string text; // three pieces for each, none of which can hold a 0
    if (!setup.group.leads())
        for (const data::photo_finding& found : setup.photos.findings())
            text += std::to_string(found.index) + '\0' + found.content_hash + '\0' + found.broken + '\0';
    for (const auto& part : setup.group.gather(std::as_bytes(std::span(text)))) {
        std::istringstream pieces(std::string(reinterpret_cast<const char*>(part.data()), part.size()));
        std::string index;
        data::photo_finding found;
        while (std::getline(pieces, index, '\0') && std::getline(pieces, found.content_hash, '\0') &&
               std::getline(pieces, found.broken, '\0')) {
            found.index = std::stoul(index);
            setup.photos.learn(found);
        }
    }
}

} // namespace petnet::train
