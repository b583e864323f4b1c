// SPDX-License-Identifier: Apache-2.0
// Validation by several ranks: who looks at which photographs, and how their answers come together.
#pragma once

#include "train/observer.hpp"
#include "train/ranks/communicator.hpp"
#include "train/training_setup.hpp"

#include <cstddef>
#include <vector>

namespace petnet::train {

// The running statistics of rank 0 go to all: they are the model's. (In training each rank's own follow its
// part of the batches.)
void share_statistics(const training_setup& setup);

// A rank's part of a list: as many neighbours as the others have, or one more.
struct shard {
    std::vector<std::size_t> photos;
    std::size_t largest = 0; // of any rank
};
[[nodiscard]] shard shard_of(const std::vector<std::size_t>& photos, const ranks::communicator& group);

struct graded_photo {
    validated_photo answer;
    float loss = 0;
    bool wrong = false;
};
// In rank 0 the answers of all ranks, in the order of the whole list; nothing in the others.
[[nodiscard]] std::vector<graded_photo> gathered(std::vector<graded_photo> own, std::size_t classes,
                                                 ranks::communicator& group);

// What the others found when they read photographs, in rank 0, which has none of theirs: so that its record
// names all that are broken. input_error there once they are too many.
void share_findings(const training_setup& setup);

} // namespace petnet::train
