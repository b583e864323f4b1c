// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/parallel.hpp"

namespace petnet::kernels::cpu {
namespace {

template <typename T> class photo final : public operation {
  public:
    photo(context& cpu, const photo_to_tensor& op)
        : op_(op), threads_(cpu.threads()), channels_last_(op.y.desc.layout == channels_last) {
        for (std::size_t c = 0; c < 3; ++c)
            for (std::size_t value = 0; value < 256; ++value)
                table_[c][value] = (static_cast<float>(value) / 255.0F - op.mean[c]) / op.deviation[c];
    }

    void execute(std::byte*) override {
        const shape& d = op_.y.desc.dims;
        const std::int64_t area = d[2] * d[3];
        // One row a photograph's pixel, three channels: cut into pieces like any channels-last tensor.
        const auto* pixels = elements<std::uint8_t>(op_.pixels);
        T* y = elements<T>(op_.y);
        for_each_piece({d[0], area, 3, 1}, threads_, [&](const piece& p, int) {
            if (channels_last_) {
                kernel_.photo_to_channels_last(pixels + p.first_element, p.rows, table_, y + p.first_element);
                return;
            }
            const std::int64_t image = p.first_element / (3 * area), first = p.first_element / 3 % area;
            for (std::int64_t c = 0; c < 3; ++c)
                kernel_.photo_to_plane(pixels + p.first_element + c, p.rows, table_[c],
                                       y + (image * 3 + c) * area + first);
        });
    }

  private:
    photo_to_tensor op_;
    int threads_;
    bool channels_last_;
    float table_[3][256];
    const loops<T>& kernel_ = best_loops<T>();
};

} // namespace

std::unique_ptr<operation> prepare(context& cpu, const photo_to_tensor& op) {
    return make_for<photo>(op.y.desc.type, cpu, op);
}

} // namespace petnet::kernels::cpu
