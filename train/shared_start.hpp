// SPDX-License-Identifier: Apache-2.0
// All ranks of a training start from the same.
#pragma once

#include "train/fine_tuner.hpp"
#include "train/ranks/communicator.hpp"
#include "train/training_setup.hpp"

#include <string>

namespace petnet::train {

// All ranks call it with what they are about to train. input_error, in rank 0 and by it in all, naming the
// first rank that was started with something else.
void require_same_run(ranks::communicator& group, const std::string& what);

// Rank 0's parameters, running statistics, optimizer state and position go to all. environment_error where a
// rank's device keeps tensors in another layout than rank 0's, so that they could not be averaged.
void share_start(const training_setup& setup, training_position& position);

} // namespace petnet::train
