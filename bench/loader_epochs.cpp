// SPDX-License-Identifier: Apache-2.0
// Whole epochs of the loader, as a training asks for them but with nothing else to do: batches of finished
// 8-bit squares. One JSON line: photographs a second in the first epoch (read, hash, decode, resize), in
// later ones from memory, and, with a folder for the cache, in a later run's first epoch and its later ones
// where no memory is allowed, from the file. usage: loader_epochs FOLDER [SIZE] [THREADS] [CACHE_FOLDER]
#include "data/labels.hpp"
#include "data/loader.hpp"
#include "data/split.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>

namespace {

using namespace petnet;

struct bench_setup {
    data::image_folder folder;
    std::vector<std::int32_t> labels;
    std::size_t size = 224;
    unsigned threads = 0;
};

// Photographs a second of one epoch.
double epoch(data::photo_store& store, const bench_setup& setup, std::uint64_t number) {
    std::vector<std::size_t> all(setup.labels.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    const auto began = std::chrono::steady_clock::now();
    data::loader loader(store, setup.labels, data::epoch_order(all, 1, number), data::pass::train,
                        {.batch_size = 64, .seed = 1, .epoch = number, .threads = setup.threads});
    std::size_t delivered = 0;
    for (data::photo_batch batch; loader.next(batch);) delivered += batch.count;
    return static_cast<double>(delivered) /
           std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

double best_of_later_epochs(data::photo_store& store, const bench_setup& setup) {
    double best = 0;
    for (std::uint64_t number = 1; number <= 5; ++number) best = std::max(best, epoch(store, setup, number));
    return best;
}

void run(const bench_setup& setup, const char* cache) {
    data::store_options options{.image_size = setup.size};
    data::photo_store in_memory(setup.folder, options);
    const double first = epoch(in_memory, setup, 0);
    std::printf("{\"first\": %.1f, \"memory\": %.1f", first, best_of_later_epochs(in_memory, setup));
    if (cache != nullptr) {
        options.memory_limit = 0;
        options.cache_folder = cache;
        data::photo_store writing(setup.folder, options);
        (void)epoch(writing, setup, 0);
        data::photo_store reading(setup.folder, options);
        const double later_run = epoch(reading, setup, 0);
        std::printf(", \"later_run\": %.1f, \"file\": %.1f", later_run, best_of_later_epochs(reading, setup));
    }
    std::printf("}\n");
}

} // namespace

int main(int count, char** arguments) {
    try {
        if (count < 2) {
            std::fputs("usage: loader_epochs FOLDER [SIZE] [THREADS] [CACHE_FOLDER]\n", stderr);
            return 2;
        }
        bench_setup setup{.folder = data::open_image_folder(arguments[1])};
        setup.labels.resize(setup.folder.photos.size());
        if (count > 2) setup.size = std::strtoul(arguments[2], nullptr, 10);
        if (count > 3) setup.threads = static_cast<unsigned>(std::strtoul(arguments[3], nullptr, 10));
        run(setup, count > 4 ? arguments[4] : nullptr);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "loader_epochs: %s\n", problem.what());
        return 1;
    }
    return 0;
}
