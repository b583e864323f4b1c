// SPDX-License-Identifier: Apache-2.0
#include "data/survey.hpp"

#include "data/parallel.hpp"
#include "data/photo_file.hpp"

#include <algorithm>
#include <mutex>

namespace petnet::data {

photo_survey survey_photos(const image_folder& folder, unsigned threads) {
    photo_survey found{.widths = std::vector<std::size_t>(folder.photos.size()),
                       .heights = std::vector<std::size_t>(folder.photos.size()),
                       .broken = folder.broken};
    std::mutex mutex;
    for_each_in_parallel(folder.photos.size(), 16, threads, [&](std::size_t i) {
        try {
            const photo_file file(folder.path_of(i), folder.photos[i].bytes);
            const rgb_image image = decode(file.bytes(), folder.photos[i].name);
            found.widths[i] = image.width;
            found.heights[i] = image.height;
        } catch (const input_error& problem) {
            const std::lock_guard lock(mutex);
            found.broken.push_back({folder.photos[i].name, problem.what()});
        }
    });
    std::ranges::sort(found.broken, {}, &broken_photo::name);
    return found;
}

} // namespace petnet::data
