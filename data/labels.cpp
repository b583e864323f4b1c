// SPDX-License-Identifier: Apache-2.0
#include "data/labels.hpp"

#include "base/errors.hpp"

#include <algorithm>
#include <regex>
#include <set>
#include <unordered_map>

namespace petnet::data {
namespace {

using label = std::optional<std::string>;

// Longer names exist only outside of POSIX file systems; the bound keeps std::regex's work bounded.
constexpr std::size_t longest_file_name = 255, longest_path = 4096;
constexpr std::size_t longest_expression = 1000;

std::string_view file_name(std::string_view name) { return name.substr(name.find_last_of('/') + 1); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

label cat_or_dog(std::string_view name) {
    const char first = file_name(name).front();
    return first >= 'A' && first <= 'Z' ? "cat" : "dog";
}

label breed(std::string_view name) {
    const std::string_view file = file_name(name);
    const std::size_t dot = file.find_last_of('.');
    if (dot == std::string_view::npos || dot + 1 == file.size()) return {};
    std::size_t digits = dot;
    while (digits > 0 && is_digit(file[digits - 1])) --digits;
    if (digits == dot || digits < 2 || file[digits - 1] != '_') return {};
    return std::string(file.substr(0, digits - 1));
}

label parent_folder(std::string_view name, std::string_view root) {
    const std::size_t end = name.find_last_of('/');
    if (end == std::string_view::npos) return std::string(file_name(root));
    return std::string(file_name(name.substr(0, end)));
}

std::regex compile(std::string_view expression) {
    auto flags = std::regex::ECMAScript;
#ifdef __GLIBCXX__
    // The breadth-first matcher: time linear in the name, no recursion, no references to groups.
    flags |= std::regex_constants::__polynomial;
#endif
    return std::regex(expression.begin(), expression.end(), flags);
}

std::function<label(std::string_view, std::string_view)> by_expression(std::string_view expression) {
    const std::string shown = "the expression of --labels regex=" + std::string(expression);
    if (expression.size() > longest_expression)
        throw usage_error("the expression of --labels regex= is longer than " +
                          std::to_string(longest_expression) + " bytes");
    std::regex compiled;
    try {
        compiled = compile(expression);
    } catch (const std::regex_error& problem) {
        if (problem.code() == std::regex_constants::error_complexity)
            throw usage_error(shown + " refers back to a group, which is not supported");
        throw usage_error(shown + " is not a valid regular expression");
    }
    if (compiled.mark_count() == 0)
        throw usage_error(shown + " has no group: put the part that is the label in parentheses");
    const bool of_path = expression.find('/') != std::string_view::npos;
    return [compiled, of_path](std::string_view name, std::string_view root) -> label {
        const std::string searched =
            of_path ? std::string(root) + '/' + std::string(name) : std::string(file_name(name));
        std::smatch match;
        if (searched.size() > (of_path ? longest_path : longest_file_name) ||
            !std::regex_search(searched, match, compiled) || !match[1].matched)
            return {};
        return match[1].str();
    };
}

} // namespace

label_rule label_rule::parse(std::string_view text) {
    constexpr std::string_view regex_prefix = "regex=";
    if (text == "cat-dog") return {text, [](auto name, auto) { return cat_or_dog(name); }};
    if (text == "breed") return {text, [](auto name, auto) { return breed(name); }};
    if (text == "folder") return {text, parent_folder};
    if (text.starts_with(regex_prefix)) return {text, by_expression(text.substr(regex_prefix.size()))};
    throw usage_error("--labels " + std::string(text) +
                      ": expected cat-dog, breed, folder, regex=RE or csv=FILE");
}

label label_rule::label_of(std::string_view name, std::string_view root) const {
    if (file_name(name).empty()) return {};
    label found = of_(name, root);
    if (found && found->empty()) found.reset();
    return found;
}

std::string default_rule(const dataset_folder& set) {
    std::set<std::string_view> folders;
    std::string_view in_none;
    for (const photo_entry& photo : set.photographs.photos) {
        const std::string_view name = photo.name, path = name.substr(0, name.size() - file_name(name).size());
        if (path.empty() || (set.split && (path == set.split->train + '/' || path == set.split->valid + '/')))
            in_none = name;
        else
            folders.insert(file_name(path.substr(0, path.size() - 1)));
    }
    if (folders.size() < 2) return "cat-dog";
    if (!in_none.empty())
        throw input_error("photographs lie in " + std::to_string(folders.size()) + " folders of " +
                          set.photographs.root.string() + " and beside them, as " + std::string(in_none) +
                          ": say by --labels what they show (folder, cat-dog, breed or regex=RE)");
    return "folder";
}

namespace {

std::string first_of(const std::vector<std::string>& names) {
    constexpr std::size_t shown = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(shown, names.size()); ++i) text += (i == 0 ? "" : ", ") + names[i];
    return names.size() > shown ? text + ", ..." : text;
}

std::string root_of(const image_folder& folder) {
    const std::filesystem::path absolute = std::filesystem::absolute(folder.root).lexically_normal();
    return (absolute.has_filename() ? absolute : absolute.parent_path()).string();
}

std::vector<std::string> labels_of(const image_folder& folder, const label_rule& rule) {
    const std::string root = root_of(folder);
    std::vector<std::string> labels;
    labels.reserve(folder.photos.size());
    for (std::size_t i = 0; i < folder.photos.size(); ++i) {
        label found = rule.label_of(folder.photos[i].name, root);
        if (!found)
            throw input_error(folder.path_of(i).string() + ": the label rule " + rule.text() +
                              " does not fit this file's name");
        labels.push_back(std::move(*found));
    }
    return labels;
}

// `known`: the classes, or nothing where they are what the labels are.
photo_labels number(const image_folder& folder, const std::vector<std::string>& labels,
                    const std::string& rule, const std::vector<std::string>* known) {
    photo_labels result;
    if (known != nullptr) {
        result.class_names = *known;
    } else {
        result.class_names = labels;
        std::ranges::sort(result.class_names);
        result.class_names.erase(std::unique(result.class_names.begin(), result.class_names.end()),
                                 result.class_names.end());
        if (result.class_names.size() < 2)
            throw input_error("all " + std::to_string(labels.size()) + " photographs in " +
                              folder.root.string() + " have the label \"" + labels.front() +
                              "\" by the rule " + rule + ": at least two classes are needed");
    }
    std::unordered_map<std::string_view, std::int32_t> number_of;
    for (const std::string& name : result.class_names)
        number_of.emplace(name, static_cast<std::int32_t>(number_of.size()));
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const auto place = number_of.find(labels[i]);
        if (place == number_of.end())
            throw input_error(folder.path_of(i).string() + ": its label \"" + labels[i] + "\" by the rule " +
                              rule + " is not one of the " + std::to_string(result.class_names.size()) +
                              " known classes: " + first_of(result.class_names));
        result.of_photo.push_back(place->second);
    }
    return result;
}

constexpr std::string_view table_prefix = "csv=";

labelled_photos label_by_table(dataset_folder& set, const std::filesystem::path& folder, const labelling& how,
                               const std::vector<std::string>* known) {
    const std::filesystem::path given = how.rule.substr(table_prefix.size());
    std::error_code error;
    const std::filesystem::path file =
        std::filesystem::exists(folder / given, error) ? folder / given : given;
    table_labels table = read_label_table(set.photographs, file, how.columns);
    labelled_photos result{.labels = number(set.photographs, table.of_photo, how.rule, known),
                           .validates = std::move(table.validates),
                           .warnings = {},
                           .broken = std::move(table.broken)};
    if (table.not_listed > 0)
        result.warnings.push_back(std::to_string(table.not_listed) + " photographs are not in " +
                                  file.string() + " and are left alone");
    return result;
}

} // namespace

photo_labels label_photos(const image_folder& folder, const label_rule& rule) {
    return number(folder, labels_of(folder, rule), rule.text(), nullptr);
}

labelled_photos label_dataset(dataset_folder& set, const std::filesystem::path& folder, const labelling& how,
                              const std::vector<std::string>* known) {
    check_labelling(how);
    if (how.rule.starts_with(table_prefix)) return label_by_table(set, folder, how, known);
    const label_rule rule = label_rule::parse(how.rule);
    labelled_photos result{.labels =
                               number(set.photographs, labels_of(set.photographs, rule), how.rule, known),
                           .validates = {},
                           .warnings = {},
                           .broken = {}};
    const std::string root = root_of(set.photographs);
    for (const broken_photo& photo : set.photographs.broken)
        if (const label found = rule.label_of(photo.name, root))
            result.broken.push_back({*found, photo.reason});
    return result;
}

void require_no_lost_class(const labelled_photos& found) {
    for (const auto& [label, reason] : found.broken)
        if (!std::ranges::binary_search(found.labels.class_names, label))
            throw input_error("no photograph of the class \"" + label + "\" can be read, the first is " +
                              reason +
                              "; --max-bad-images F allows it where no more than that part of all is broken");
}

void check_labelling(const labelling& how) {
    if (how.rule.starts_with(table_prefix)) {
        if (how.rule.size() == table_prefix.size()) throw usage_error("--labels csv= names no file");
        return;
    }
    static_cast<void>(label_rule::parse(how.rule));
    const table_columns& columns = how.columns;
    if (!columns.file.empty() || !columns.label.empty() || !columns.valid.empty())
        throw usage_error(
            "--file-column, --label-column and --valid-column are of a table: --labels csv=FILE");
}

} // namespace petnet::data
