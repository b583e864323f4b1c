// SPDX-License-Identifier: Apache-2.0
// What a photograph shows, told by its name or by a table.
#pragma once

#include "data/dataset_folder.hpp"
#include "data/label_table.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace petnet::data {

class label_rule {
  public:
    // `text` is one of
    //   cat-dog    the file name starts with an upper-case ASCII letter: "cat", otherwise "dog"
    //   breed      the file name up to the last '_' that is followed by digits and an extension
    //              (fastai's r'^(.*)_\d+.jpg$', whatever the extension)
    //   folder     the name of the folder the file lies in
    //   regex=RE   the first group of the ECMAScript expression RE, searched for in the file name, or in the
    //              whole path where RE has a '/' (fastai's from_path_re)
    // usage_error: anything else, an RE that is malformed, has no group, is longer than 1000 bytes or needs
    // backtracking (a reference to a group).
    [[nodiscard]] static label_rule parse(std::string_view text);

    // The label of a photograph; nothing where the rule does not fit or gives an empty label. `name` is
    // relative to the folder `root`. Takes time linear in the name for every rule.
    [[nodiscard]] std::optional<std::string> label_of(std::string_view name, std::string_view root) const;

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

  private:
    using function = std::function<std::optional<std::string>(std::string_view name, std::string_view root)>;
    label_rule(std::string_view text, function of) : text_(text), of_(std::move(of)) {}

    std::string text_;
    function of_;
};

// The rule where none is given: folder, where all photographs lie in folders of classes, two at least, else
// cat-dog, as train.py has it. input_error where they lie in folders and beside them, as neither rule fits
// all.
[[nodiscard]] std::string default_rule(const dataset_folder& set);

struct photo_labels {
    std::vector<std::string> class_names; // sorted byte-wise
    std::vector<std::int32_t> of_photo;   // index into class_names, for each of image_folder::photos
};

// input_error: a photograph the rule does not fit (named, with the rule), or fewer than two classes.
[[nodiscard]] photo_labels label_photos(const image_folder& folder, const label_rule& rule);

// How the photographs of a data set are labelled.
struct labelling {
    std::string rule; // label_rule::parse()'s, or csv=FILE: below the data set's folder if it is there
    table_columns columns;
};

struct labelled_photos {
    photo_labels labels;
    std::vector<bool> validates;       // what the table says of each photograph; empty where it does not
    std::vector<std::string> warnings; // a line each
    // The photographs that are broken and have a label.
    std::vector<table_labels::broken_row> broken;
};

// Labels the photographs of the set in `folder`; a table takes those that it does not name out of it. With
// `known` classes a label that is not among them is an input_error, and one class is enough. Errors as
// label_photos' and read_label_table's; usage_error where columns are named and there is no table.
[[nodiscard]] labelled_photos label_dataset(dataset_folder& set, const std::filesystem::path& folder,
                                            const labelling& how,
                                            const std::vector<std::string>* known = nullptr);

// A class is lost where files are named as photographs of it, and none of them can be read. input_error
// naming such a class and why its first file cannot be read.
void require_no_lost_class(const labelled_photos& found);

// usage_error where `rule` is none.
void check_labelling(const labelling& how);

} // namespace petnet::data
