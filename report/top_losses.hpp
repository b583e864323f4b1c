// SPDX-License-Identifier: Apache-2.0
// The photographs that a classifier gets most wrong, to look at.
#pragma once

#include "data/resize.hpp"
#include "report/evaluation.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace petnet::report {

struct pictured_photo {
    std::string name;
    std::size_t truth = 0, answer = 0; // classes
    double loss = 0, probability = 0;  // of the answer
    std::vector<std::byte> jpeg;       // empty: it could not be read again
};

// The `most` of the largest loss, largest first. `pixels_of` is asked for each by its place in `photos`; null
// where there are none.
[[nodiscard]] std::vector<pictured_photo>
top_losses(std::span<const answered_photo> photos, std::size_t most,
           const std::function<std::shared_ptr<const data::half_resized>(std::size_t)>& pixels_of);

} // namespace petnet::report
