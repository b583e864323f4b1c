// SPDX-License-Identifier: Apache-2.0
#include "data/survey.hpp"

#include "data/parallel.hpp"
#include "data/photo_file.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace petnet::data {
namespace {

using clock = std::chrono::steady_clock;

class survey_progress {
  public:
    survey_progress(std::size_t photographs, const work_listener& listener)
        : photographs_(photographs), listener_(listener) {}

    // After each photograph, on any thread; the listener hears of it on the one that made this.
    void one_more() {
        const std::size_t done = ++done_;
        if (std::this_thread::get_id() != caller_) return;
        listener_.throw_if_stopping();
        const auto now = clock::now();
        if (now - reported_ < std::chrono::milliseconds(200)) return;
        reported_ = now;
        listener_.progress(
            {.what = "checking photographs",
             .done = done,
             .total = photographs_,
             .per_second = static_cast<double>(done) / std::chrono::duration<double>(now - begun_).count(),
             .in_bytes = false});
    }

  private:
    const std::size_t photographs_;
    const work_listener& listener_;
    const std::thread::id caller_ = std::this_thread::get_id();
    const clock::time_point begun_ = clock::now();
    clock::time_point reported_ = begun_; // the caller's alone
    std::atomic<std::size_t> done_ = 0;
};

} // namespace

photo_survey survey_photos(const image_folder& folder, const work_listener& listener) {
    photo_survey found{.widths = std::vector<std::size_t>(folder.photos.size()),
                       .heights = std::vector<std::size_t>(folder.photos.size()),
                       .broken = folder.broken};
    survey_progress progress(folder.photos.size(), listener);
    std::mutex mutex;
    for_each_in_parallel(folder.photos.size(), 16, 0, [&](std::size_t i) {
        try {
            const photo_file file(folder.path_of(i), folder.photos[i].bytes);
            const rgb_image image = decode(file.bytes(), folder.photos[i].name);
            found.widths[i] = image.width;
            found.heights[i] = image.height;
        } catch (const input_error& problem) {
            const std::lock_guard lock(mutex);
            found.broken.push_back({folder.photos[i].name, problem.what()});
        }
        progress.one_more();
    });
    std::ranges::sort(found.broken, {}, &broken_photo::name);
    return found;
}

} // namespace petnet::data
