// SPDX-License-Identifier: Apache-2.0
#include "data/label_table.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "data/delimited_text.hpp"
#include "data/photo_names.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace petnet::data {
namespace {

constexpr std::size_t longest_table = 256 * 1024 * 1024;

std::optional<std::size_t> number_in(const std::string& text) {
    std::size_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stopped == end ? std::optional(number) : std::nullopt;
}

std::optional<bool> yes_or_no(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    for (const char* yes : {"true", "1", "valid", "val", "validation"})
        if (text == yes) return true;
    for (const char* no : {"false", "0", "train"})
        if (text == no) return false;
    return {};
}

std::size_t find_photo(const photo_names& names, const std::string& name) {
    const std::size_t photo = names.find(name);
    return photo == photo_names::none ? names.find_stem(name) : photo;
}

class label_table {
  public:
    label_table(image_folder& folder, const std::filesystem::path& file, const table_columns& columns)
        : folder_(folder),
          name_(file.string()),
          rows_(read_delimited(read_text(file, longest_table), name_)),
          sound_(folder),
          broken_(broken_of(folder)),
          broken_names_(broken_) {
        if (rows_.empty()) throw input_error(name_ + " is an empty table");
        file_ = place_of(columns.file, "--file-column", 0);
        label_ = place_of(columns.label, "--label-column", 1);
        if (!columns.valid.empty()) valid_ = place_of(columns.valid, "--valid-column", 0);
        if (by_name_ || is_header(rows_[0])) rows_.erase(rows_.begin());
    }

    table_labels apply() {
        rows_of_photos_.resize(folder_.photos.size());
        for (const text_row& row : rows_) place(row);
        return drop_unlisted();
    }

  private:
    [[noreturn]] void fail(const text_row& row, const std::string& why) const {
        throw input_error(name_ + ", line " + std::to_string(row.line) + ": " + why);
    }

    static image_folder broken_of(const image_folder& folder) {
        image_folder broken;
        broken.root = folder.root;
        for (const broken_photo& photo : folder.broken) broken.photos.push_back({photo.name, 0});
        return broken;
    }

    std::size_t place_of(const std::string& column, const std::string& option, std::size_t otherwise) {
        const std::vector<std::string>& first = rows_[0].fields;
        std::size_t place = otherwise;
        if (const auto named = std::ranges::find(first, column); !column.empty() && named != first.end()) {
            place = static_cast<std::size_t>(named - first.begin());
            by_name_ = true;
        } else if (const auto number = number_in(column)) {
            place = *number;
        } else if (!column.empty()) {
            std::string there;
            for (const std::string& field : first) there += (there.empty() ? "" : ", ") + field;
            fail(rows_[0], option + ' ' + column + ": there is no such column; there are " + there);
        }
        if (place >= first.size())
            fail(rows_[0], option + ": there is no column " + std::to_string(place) + ", there are " +
                               std::to_string(first.size()) + ", counted from 0");
        return place;
    }

    [[nodiscard]] bool is_header(const text_row& row) const {
        const std::string& file = row.fields[file_];
        return file.find('.') == std::string::npos && find_photo(sound_, file) == photo_names::none &&
               find_photo(broken_names_, file) == photo_names::none;
    }

    void place(const text_row& row) {
        const std::string &file = row.fields[file_], &label = row.fields[label_];
        if (label.empty()) fail(row, file + " has no label");
        const std::size_t photo = find_photo(sound_, file);
        if (photo == photo_names::several)
            fail(row, file + " names several photographs in " + folder_.root.string());
        if (valid_ && !yes_or_no(row.fields[*valid_]))
            fail(row, "\"" + row.fields[*valid_] +
                          "\" does not say whether a photograph validates (true or false, "
                          "1 or 0, train or valid)");
        if (photo == photo_names::none) return place_broken(row);
        const text_row*& earlier = rows_of_photos_[photo];
        if (earlier != nullptr && earlier->fields != row.fields)
            fail(row,
                 file + " is named in line " + std::to_string(earlier->line) + " too, with other fields");
        earlier = &row;
    }

    void place_broken(const text_row& row) {
        const std::string& file = row.fields[file_];
        const std::size_t broken = find_photo(broken_names_, file);
        if (broken < folder_.broken.size()) {
            listed_broken_.push_back(folder_.broken[broken]);
        } else {
            listed_broken_.push_back({file, file + ": there is no such photograph (" + name_ + ", line " +
                                                std::to_string(row.line) + ')'});
        }
        result_.broken.push_back({row.fields[label_], listed_broken_.back().reason});
    }

    table_labels drop_unlisted() {
        std::vector<photo_entry> listed;
        for (std::size_t i = 0; i < folder_.photos.size(); ++i) {
            const text_row* const row = rows_of_photos_[i];
            if (row == nullptr) continue;
            listed.push_back(folder_.photos[i]);
            result_.of_photo.push_back(row->fields[label_]);
            if (valid_) result_.validates.push_back(*yes_or_no(row->fields[*valid_]));
        }
        if (listed.empty())
            throw input_error("no row of " + name_ + " names a photograph in " + folder_.root.string() +
                              (result_.broken.empty() ? "" : "; the first is " + result_.broken[0].reason));
        result_.not_listed = folder_.photos.size() - listed.size();
        folder_.photos = std::move(listed);
        std::ranges::sort(listed_broken_, {}, &broken_photo::name);
        folder_.broken = std::move(listed_broken_);
        return std::move(result_);
    }

    image_folder& folder_;
    std::string name_;
    std::vector<text_row> rows_;
    photo_names sound_;
    image_folder broken_;
    photo_names broken_names_;
    std::size_t file_ = 0, label_ = 0;
    std::optional<std::size_t> valid_;
    bool by_name_ = false; // a column is
    std::vector<const text_row*> rows_of_photos_;
    std::vector<broken_photo> listed_broken_;
    table_labels result_;
};

} // namespace

table_labels read_label_table(image_folder& folder, const std::filesystem::path& file,
                              const table_columns& columns) {
    return label_table(folder, file, columns).apply();
}

} // namespace petnet::data
