// SPDX-License-Identifier: Apache-2.0
#include "app/contact_sheet.hpp"

#include "data/photo_file.hpp"
#include "data/resize.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <stb_easy_font.h>
#include <vector>

namespace petnet::app {
namespace {

using color = std::array<std::uint8_t, 3>;
constexpr color paper{250, 249, 246}, ink{40, 40, 44}, faint{130, 128, 124}, line{226, 223, 216};

// In pixels.
constexpr std::size_t cell = 112, gap = 6, margin = 24, label_width = 208, title_height = 60, band_gap = 14;
constexpr std::size_t columns = 8, most_classes = 100;

// Rows of each class: some 20 rows in all, so that few classes show more of each.
std::size_t rows_for(std::size_t classes) { return std::clamp<std::size_t>(20 / classes, 1, 5); }

class canvas {
  public:
    canvas(std::size_t width, std::size_t height) : image_{width, height, {}} {
        image_.pixels.resize(width * height * 3);
        fill(0, 0, width, height, paper);
    }

    void fill(std::size_t x, std::size_t y, std::size_t width, std::size_t height, const color& with) {
        for (std::size_t row = y; row < std::min(y + height, image_.height); ++row)
            for (std::size_t column = x; column < std::min(x + width, image_.width); ++column)
                std::ranges::copy(with, at(column, row));
    }

    // (side, side, 3) bytes.
    void paste(std::size_t x, std::size_t y, std::size_t side, std::span<const std::uint8_t> square) {
        for (std::size_t row = 0; row < side; ++row)
            std::ranges::copy(square.subspan(row * side * 3, side * 3), at(x, y + row));
    }

    // Text of the built-in font, whose letters are 7 * scale pixels high, cut where it would be wider than
    // `most_width`.
    void write(std::size_t x, std::size_t y, std::size_t scale, std::string text, std::size_t most_width,
               const color& with) {
        for (char& letter : text)
            if (letter < ' ' || letter > '~') letter = '?';
        if (width_of(text) * scale > most_width) {
            while (!text.empty() && width_of(text + "..") * scale > most_width) text.pop_back();
            text += "..";
        }
        struct corner { // as stb_easy_font writes them, four to a rectangle
            float x, y, z;
            std::array<unsigned char, 4> rgba;
        };
        std::vector<corner> corners(text.size() * 64 + 64);
        const int rectangles = stb_easy_font_print(0, 0, text.data(), nullptr, corners.data(),
                                                   static_cast<int>(corners.size() * sizeof(corner)));
        for (int i = 0; i < rectangles; ++i) {
            const corner& first = corners[static_cast<std::size_t>(i) * 4];
            const corner& opposite = corners[static_cast<std::size_t>(i) * 4 + 2];
            const auto left = static_cast<std::size_t>(first.x), top = static_cast<std::size_t>(first.y);
            fill(x + left * scale, y + top * scale, (static_cast<std::size_t>(opposite.x) - left) * scale,
                 (static_cast<std::size_t>(opposite.y) - top) * scale, with);
        }
    }

    [[nodiscard]] data::rgb_image take() { return std::move(image_); }

  private:
    static std::size_t width_of(std::string text) {
        return static_cast<std::size_t>(stb_easy_font_width(text.data()));
    }
    [[nodiscard]] std::uint8_t* at(std::size_t x, std::size_t y) {
        return image_.pixels.data() + (y * image_.width + x) * 3;
    }
    data::rgb_image image_;
};

std::optional<std::vector<std::uint8_t>> square_of(const data::image_folder& folder, std::size_t photo) {
    try {
        const data::photo_file file(folder.path_of(photo), folder.photos[photo].bytes);
        data::rgb_image image = data::decode(file.bytes(), folder.photos[photo].name);
        if (data::half_resized_bytes(image.width, image.height, cell) > data::max_decode_bytes / 4) return {};
        std::vector<std::uint8_t> square(cell * cell * 3);
        data::cut_square(data::resize_covered_axis(image, cell), 0.5, square);
        return square;
    } catch (const input_error&) { // `inspect` names it
        return {};
    }
}

// At most `wanted` sound ones of the photographs, spread over them.
std::vector<std::vector<std::uint8_t>>
squares_of(const data::image_folder& folder, const std::vector<std::size_t>& photos, std::size_t wanted) {
    std::vector<std::vector<std::uint8_t>> squares;
    const std::size_t count = std::min(wanted, photos.size());
    for (std::size_t i = 0; i < count; ++i) {
        // In the place of a broken one the next sound one, up to where the following begins.
        for (std::size_t at = i * photos.size() / count; at < (i + 1) * photos.size() / count; ++at)
            if (auto square = square_of(folder, photos[at])) {
                squares.push_back(std::move(*square));
                break;
            }
    }
    return squares;
}

} // namespace

data::rgb_image contact_sheet(const data::image_folder& folder, const data::photo_labels& labels,
                              const std::string& title) {
    const std::size_t classes = std::min(labels.class_names.size(), most_classes);
    const std::size_t rows = rows_for(classes), pitch = cell + gap;
    std::vector<std::vector<std::size_t>> photos(labels.class_names.size());
    for (std::size_t i = 0; i < labels.of_photo.size(); ++i)
        photos[static_cast<std::size_t>(labels.of_photo[i])].push_back(i);
    std::vector<std::size_t> heights; // of the bands
    std::size_t height = margin + title_height + margin;
    for (std::size_t i = 0; i < classes; ++i) {
        const std::size_t used = std::clamp<std::size_t>((photos[i].size() + columns - 1) / columns, 1, rows);
        heights.push_back(used * pitch - gap);
        height += heights.back() + band_gap;
    }
    const std::size_t width = margin + label_width + columns * pitch - gap + margin;
    const std::size_t inner = width - 2 * margin;

    canvas sheet(width, height);
    sheet.write(margin, margin, 3, title, inner, ink);
    const std::string shown = classes < photos.size() ? "the first " + std::to_string(classes) + " of " +
                                                            std::to_string(photos.size()) + " classes"
                                                      : std::to_string(classes) + " classes";
    sheet.write(margin, margin + 32, 2, std::to_string(folder.photos.size()) + " photographs, " + shown,
                inner, faint);
    std::size_t top = margin + title_height;
    for (std::size_t i = 0; i < classes; ++i) {
        sheet.fill(margin, top, inner, 1, line);
        top += band_gap / 2;
        sheet.write(margin, top + 6, 2, labels.class_names[i], label_width - 12, ink);
        sheet.write(margin, top + 30, 2, std::to_string(photos[i].size()), label_width - 12, faint);
        const auto squares = squares_of(folder, photos[i], heights[i] / (pitch - gap) * columns);
        for (std::size_t k = 0; k < squares.size(); ++k)
            sheet.paste(margin + label_width + k % columns * pitch, top + k / columns * pitch, cell,
                        squares[k]);
        top += heights[i] + band_gap / 2;
    }
    return sheet.take();
}

} // namespace petnet::app
