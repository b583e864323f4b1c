// SPDX-License-Identifier: Apache-2.0
// What may come next on a command line, read from the definitions of its commands and options.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>
#include <vector>

namespace petnet::app {

enum class path_kind { none, files, folders };

struct candidate {
    std::string word, help; // one line; may be empty
};

struct completion {
    std::vector<candidate> candidates; // that begin as the last word does
    path_kind paths = path_kind::none; // what of the file system may stand there as well
};

// For the last of `words`, which may be empty; the others stand before it, without the program's name. An
// option's values are those that --help shows: of "imagenet|random|FILE" two words, or a file; a part in
// capitals that is no FILE, DIR or IMAGE says what is meant, and is offered nothing for.
// --recipe=augmented is one word, or three, as bash splits it.
[[nodiscard]] completion complete(const CLI::App& program, std::span<const std::string> words);

} // namespace petnet::app
