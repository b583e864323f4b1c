// SPDX-License-Identifier: Apache-2.0
// Photographs in the memory of a device that has its own. Each crosses the bus once, half resized; from then
// on a batch only says where its squares are cut, and the plan's first operation cuts them
// (kernels::cut_photographs). The bits are those of squares that are cut on the host.
#pragma once

#include "data/loader.hpp"
#include "model/plan.hpp"
#include "train/schedule.hpp"
#include "train/training_setup.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace petnet::train {

// One block of memory, from its beginning to its end:
//   a table of cut_photographs that changes nothing, for finished squares;
//   a batch of squares: of photographs that have no place here, written anew for each batch;
//   photographs half resized, and the tables of their cuts, in the order in which they came.
// What does not fit any more is cut on the host, in this epoch and later ones.
class device_photographs {
  public:
    // Of photographs of this folder, squares of this side, and batches of so many; takes `bytes` of the
    // device's memory, at least least_bytes(). out_of_device_memory where it has not so many. The device
    // outlives it.
    device_photographs(kernels::backend& device, std::size_t photographs, std::size_t image_size,
                       std::size_t batch_size, std::size_t bytes);
    // Up to the first photograph.
    [[nodiscard]] static std::size_t least_bytes(std::size_t image_size, std::size_t batch_size);
    // What a photograph takes, with a table of its own; many share theirs.
    [[nodiscard]] static std::size_t bytes_of(const data::half_resized& photo);

    // In what form a photograph shall come. (loader_options::form_of)
    [[nodiscard]] data::photo_form form_of(std::size_t index) const;

    // Takes up the batch's photographs and squares, and writes the plan's places, those beyond the batch as
    // the first one. Waits for nothing (backend::upload_bytes). What had to be cut here after all is appended
    // to the batch's pixels. The number of bytes of pixels and tables that were copied to the device.
    std::size_t upload(const model::plan& plan, data::photo_batch& batch);

    // For plan_options: the memory as bytes, and as the numbers of tables.
    [[nodiscard]] kernels::tensor_view store() const;
    [[nodiscard]] kernels::tensor_view tables() const;

  private:
    struct kept_photo {
        std::size_t offset = 0; // of its pixels in the block; 0: it is not there
        std::size_t width = 0, height = 0;
    };
    struct kept_table {
        std::size_t offset = 0; // in the block
        std::size_t taps = 0;
    };
    [[nodiscard]] bool is_here(std::size_t index) const { return photos_[index].offset != 0; }
    [[nodiscard]] bool take(std::size_t index, const data::half_resized& photo);
    [[nodiscard]] kernels::cut_place place_of(std::size_t index, double fraction) const;
    [[nodiscard]] kernels::cut_place place_of_square(std::size_t number) const;
    [[nodiscard]] std::size_t square_bytes() const { return 3 * image_size_ * image_size_; }
    [[nodiscard]] kernels::tensor_view part(std::size_t offset, std::size_t bytes) const;
    void append(const void* values, std::size_t bytes);

    kernels::backend& device_;
    std::size_t image_size_, batch_size_, bytes_;
    kernels::device_memory memory_;
    std::size_t squares_; // where they begin
    std::size_t end_;     // of what is taken
    bool full_ = false;
    std::vector<kept_photo> photos_;           // by index into the folder's photographs
    std::map<std::size_t, kept_table> tables_; // by the side of the cut, in pixels of the photograph
    std::vector<std::byte> new_;               // what goes to the end with the next upload
    std::vector<kernels::cut_place> places_;
};

// For a training in these phases, in memory that the device can spare beside their plans, at most
// setup.device_photo_bytes. nullptr where there is nothing to spare, where the device's memory is the host's,
// and where no photograph would come twice. Decodes a few of the photographs, to see how much they take.
// input_error where too many are broken.
[[nodiscard]] std::unique_ptr<device_photographs>
make_device_photographs(const training_setup& setup, const std::vector<training_phase>& phases);

} // namespace petnet::train
