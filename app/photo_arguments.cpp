// SPDX-License-Identifier: Apache-2.0
#include "app/photo_arguments.hpp"

#include "base/errors.hpp"

#include <filesystem>
#include <glob.h>
#include <utility>

namespace petnet::app {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> matches_of(const std::string& pattern) {
    glob_t found{};
    std::vector<std::string> names;
    if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
        for (std::size_t i = 0; i < found.gl_pathc; ++i) names.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
    return names;
}

class photo_list {
  public:
    void add(const std::string& argument) {
        std::error_code error;
        if (fs::exists(argument, error)) return add_path(argument);
        if (argument.find_first_of("*?[") != std::string::npos) {
            const std::vector<std::string> names = matches_of(argument);
            if (names.empty()) return add_broken(argument, "no file has such a name");
            for (const std::string& name : names) add_path(name);
            return;
        }
        add_broken(argument, error ? "cannot be read: " + error.message() : "no such file or folder");
    }

    void add_lines(std::istream& lines) {
        for (std::string line; std::getline(lines, line);) {
            if (!line.empty() && line.back() == '\r') line.pop_back();
            if (!line.empty()) add(line);
        }
    }

    data::image_folder take() { return std::move(photos_); }

  private:
    void add_path(const std::string& name) {
        std::error_code error;
        if (fs::is_directory(name, error)) return add_folder(name);
        if (!fs::is_regular_file(name, error)) return add_broken(name, "is no file");
        const std::uintmax_t bytes = fs::file_size(name, error);
        photos_.photos.push_back({name, error ? 0 : bytes});
    }

    void add_folder(const std::string& name) {
        try {
            data::image_folder found = data::open_image_folder(name);
            const auto path = [&](const std::string& each) { return (found.root / each).string(); };
            for (const data::photo_entry& photo : found.photos)
                photos_.photos.push_back({path(photo.name), photo.bytes});
            for (const data::broken_photo& photo : found.broken)
                photos_.broken.push_back({path(photo.name), (found.root / photo.reason).string()});
            for (const std::string& other : found.skipped) photos_.skipped.push_back(path(other));
        } catch (const input_error& problem) {
            photos_.broken.push_back({name, problem.what()});
        }
    }

    void add_broken(const std::string& name, const std::string& reason) {
        photos_.broken.push_back({name, name + ": " + reason});
    }

    data::image_folder photos_;
};

} // namespace

data::image_folder photos_named(const std::vector<std::string>& arguments, std::istream& list) {
    photo_list photos;
    bool list_read = false;
    for (const std::string& argument : arguments) {
        if (argument != "-") {
            photos.add(argument);
            continue;
        }
        if (std::exchange(list_read, true))
            throw usage_error("- is given twice: there is one standard input");
        photos.add_lines(list);
    }
    data::image_folder found = photos.take();
    if (list_read && found.photos.empty() && found.broken.empty() && found.skipped.empty())
        throw input_error("standard input names no photograph: expected a file or a folder on each line");
    return found;
}

} // namespace petnet::app
