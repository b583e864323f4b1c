// SPDX-License-Identifier: Apache-2.0
#include "train/device_photographs.hpp"

#include "data/parallel.hpp"
#include "data/resize.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <span>
#include <stdexcept>

namespace petnet::train {
namespace {

constexpr std::size_t alignment = 16; // of what lies in the block
constexpr std::size_t number_bytes = sizeof(std::int32_t);

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// Every output is the input at its own place.
std::vector<std::int32_t> table_of_squares(std::size_t size) {
    std::vector<std::int32_t> numbers;
    for (std::size_t i = 0; i < size; ++i)
        numbers.insert(numbers.end(), {static_cast<std::int32_t>(i), 1, 1 << 22});
    return numbers;
}

// Without what only the host's loops read.
std::size_t pixel_bytes(const data::half_resized& photo) { return photo.free_extent * photo.size * 3; }

// Of what is free, beside the plan that is the largest: phases run one after the other. While convolutions
// are chosen, tensors of one of them are in memory a second time; they, training and evaluation have
// workspaces, of at most a gigabyte each.
std::size_t bytes_to_spare(const training_setup& setup, const std::vector<training_phase>& phases) {
    constexpr std::size_t workspaces = std::size_t{3} << 30;
    const kernels::backend& device = setup.parameters.device();
    if (device.free_memory() <= workspaces) return 0;
    std::size_t largest = 0;
    const auto lay_out = [&](model::phase kind) {
        const model::plan plan(setup.parameters, setup.network, plan_options(setup, kind));
        largest = std::max(largest, plan.memory_bytes());
    };
    for (const training_phase& phase : phases) lay_out(phase.kind);
    lay_out(model::phase::evaluation);
    // Again: laying out may try convolutions, for which libraries load their kernels.
    const std::size_t free = device.free_memory();
    return free - std::min(free, workspaces + 2 * largest);
}

// What a photograph takes, of some that were looked at.
struct photograph_bytes {
    std::size_t mean = 0, largest = 0;

    // Of all together; an eighth more, as the others may be larger.
    [[nodiscard]] std::size_t of_all(std::size_t count) const { return mean * count + mean * count / 8; }
    // Of a batch, seldom more: the mean of n numbers is further from theirs than 2/sqrt(n) of their range
    // once in 3000 times at most (Hoeffding 1963).
    [[nodiscard]] std::size_t of_batch(std::size_t count) const {
        const auto n = static_cast<double>(count);
        const double above = std::min(1.0, 2 / std::sqrt(n)) * static_cast<double>(largest - mean);
        return static_cast<std::size_t>(n * (static_cast<double>(mean) + above));
    }
};
photograph_bytes look_at_photographs(const training_setup& setup) {
    constexpr std::size_t most_looked_at = 64;
    std::vector<std::size_t> all = setup.split.train;
    all.insert(all.end(), setup.split.valid.begin(), setup.split.valid.end());
    const std::size_t looked_at = std::min(most_looked_at, all.size());
    std::atomic<std::size_t> sound = 0, bytes = 0, largest = 0;
    data::for_each_in_parallel(looked_at, 1, setup.loader_threads, [&](std::size_t i) {
        const auto photo = setup.photos.photo(all[i * all.size() / looked_at]);
        if (photo == nullptr) return;
        const std::size_t taken = device_photographs::bytes_of(*photo);
        ++sound;
        bytes += taken;
        for (std::size_t known = largest; known < taken && !largest.compare_exchange_weak(known, taken);) {
        }
    });
    if (sound == 0) return {};
    return {.mean = bytes / sound, .largest = largest};
}

} // namespace

std::size_t device_photographs::least_bytes(std::size_t image_size, std::size_t batch_size) {
    return aligned(image_size * 3 * number_bytes) + aligned(batch_size * 3 * image_size * image_size);
}

std::size_t device_photographs::bytes_of(const data::half_resized& photo) {
    return aligned(pixel_bytes(photo)) +
           aligned(data::weights_of_cut(photo.side, photo.size).numbers.size() * number_bytes);
}

device_photographs::device_photographs(kernels::backend& device, std::size_t photographs,
                                       std::size_t image_size, std::size_t batch_size, std::size_t bytes)
    : device_(device),
      image_size_(image_size),
      batch_size_(batch_size),
      bytes_(bytes / alignment * alignment),
      squares_(aligned(image_size * 3 * number_bytes)),
      end_(least_bytes(image_size, batch_size)),
      photos_(photographs) {
    if (bytes_ < end_) throw std::logic_error("device_photographs: no room for a batch of squares");
    memory_ = device.allocate(bytes_);
    const std::vector<std::int32_t> table = table_of_squares(image_size);
    device.write_bytes(part(0, table.size() * number_bytes), std::as_bytes(std::span(table)));
}

data::photo_form device_photographs::form_of(std::size_t index) const {
    if (is_here(index)) return data::photo_form::known;
    return full_ ? data::photo_form::square : data::photo_form::whole;
}

kernels::tensor_view device_photographs::part(std::size_t offset, std::size_t bytes) const {
    return {{kernels::dtype::u8, {static_cast<std::int64_t>(bytes)}}, memory_.get() + offset};
}
kernels::tensor_view device_photographs::store() const { return part(0, bytes_); }
kernels::tensor_view device_photographs::tables() const {
    return {{kernels::dtype::i32, {static_cast<std::int64_t>(bytes_ / number_bytes)}}, memory_.get()};
}

void device_photographs::append(const void* values, std::size_t bytes) {
    const auto* first = static_cast<const std::byte*>(values);
    new_.insert(new_.end(), first, first + bytes);
    new_.resize(aligned(new_.size()));
}

// False where it does not fit.
bool device_photographs::take(std::size_t index, const data::half_resized& photo) {
    const bool new_side = !tables_.contains(photo.side);
    const data::cut_weights weights =
        new_side ? data::weights_of_cut(photo.side, image_size_) : data::cut_weights{};
    const std::size_t offset = end_ + new_.size(), table = offset + aligned(pixel_bytes(photo));
    if (table + aligned(weights.numbers.size() * number_bytes) > bytes_) {
        full_ = true;
        return false;
    }
    photos_[index] = {.offset = offset, .width = photo.width, .height = photo.height};
    append(photo.pixels.data(), pixel_bytes(photo));
    if (new_side) {
        tables_[photo.side] = {.offset = table, .taps = weights.taps};
        append(weights.numbers.data(), weights.numbers.size() * number_bytes);
    }
    return true;
}

kernels::cut_place device_photographs::place_of(std::size_t index, double fraction) const {
    const kept_photo& photo = photos_[index];
    const data::cut_source from = data::source_of_cut(photo.width, photo.height, image_size_, fraction);
    const kept_table& table = tables_.at(from.side);
    return {.source = photo.offset + from.offset,
            .stride = from.stride,
            .table = table.offset / number_bytes,
            .taps = table.taps,
            .vertical = from.free_is_vertical ? 1U : 0U};
}

kernels::cut_place device_photographs::place_of_square(std::size_t number) const {
    return {.source = squares_ + number * square_bytes(),
            .stride = 3 * image_size_,
            .table = 0,
            .taps = 1,
            .vertical = 1};
}

std::size_t device_photographs::upload(const model::plan& plan, data::photo_batch& batch) {
    new_.clear();
    places_.clear();
    std::size_t square = 0, appended = batch.pixels.size() / square_bytes();
    for (std::size_t i = 0; i < batch.count; ++i) {
        const std::size_t index = batch.indices[i];
        if (batch.forms[i] == data::photo_form::square) {
            places_.push_back(place_of_square(square++));
        } else if (is_here(index) || take(index, *batch.whole[i])) {
            places_.push_back(place_of(index, batch.fractions[i]));
        } else { // it was to come whole before the memory was full
            batch.pixels.resize(batch.pixels.size() + square_bytes());
            data::cut_square(*batch.whole[i], batch.fractions[i],
                             std::span(batch.pixels).last(square_bytes()));
            places_.push_back(place_of_square(appended++));
        }
    }
    places_.resize(batch_size_, places_.front());

    if (!new_.empty()) device_.upload_bytes(part(end_, new_.size()), new_);
    end_ += new_.size();
    if (!batch.pixels.empty())
        device_.upload_bytes(part(squares_, batch.pixels.size()), std::as_bytes(std::span(batch.pixels)));
    device_.upload_bytes(plan.places(), std::as_bytes(std::span(places_)));
    return new_.size() + batch.pixels.size();
}

std::unique_ptr<device_photographs> make_device_photographs(const training_setup& setup,
                                                            const std::vector<training_phase>& phases) {
    std::int64_t epochs = 0;
    for (const training_phase& phase : phases) epochs += phase.epochs;
    if (epochs < 2) return nullptr;
    const auto batch_size = static_cast<std::size_t>(setup.batch_size);
    const std::size_t image_size = setup.photos.options().image_size;
    const std::size_t least = device_photographs::least_bytes(image_size, batch_size);
    std::size_t bytes = bytes_to_spare(setup, phases);
    if (setup.device_photo_bytes) bytes = std::min(bytes, *setup.device_photo_bytes);
    if (bytes <= least) return nullptr;
    const photograph_bytes each = look_at_photographs(setup);
    bytes = std::min(bytes, least + each.of_all(setup.split.train.size() + setup.split.valid.size()));
    kernels::backend& device = setup.parameters.device();
    try {
        auto made = std::make_unique<device_photographs>(device, setup.photos.folder().photos.size(),
                                                         image_size, batch_size, bytes);
        device.prepare_uploads(std::max(each.of_batch(batch_size), batch_size * 3 * image_size * image_size));
        return made;
    } catch (const kernels::out_of_device_memory&) { // in pieces, or another process was faster
        return nullptr;
    }
}

} // namespace petnet::train
