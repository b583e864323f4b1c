// SPDX-License-Identifier: Apache-2.0
// From the name of a data set or weight file to its place in the cache folder, fetched where it is not there.
#pragma once

#include "data/download.hpp"
#include "data/fetch_sources.hpp"
#include "data/work_listener.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace petnet::data {

struct fetch_options {
    std::filesystem::path cache; // made where it is not there
    std::string
        mirror; // URL to take the file from; empty: the one that item.variable names, else the sources
    download_patience patience{};
};

// Where the item lies, if it does.
[[nodiscard]] std::optional<std::filesystem::path> fetched(const fetch_item& item,
                                                           const std::filesystem::path& cache);

// Where the item lies, in the end: there already; else made of the file that one of the sources has, put into
// the cache folder by hand or downloaded to FILE.part. A file is verified before it is used: its hash and
// size, as far as the source's are known, whichever mirror it comes from (a mirror stands for the source with
// the same file name, else for the first). Photographs of a source without a hash are decoded one by one.
// An archive is unpacked beside its place, which then is renamed, with source.json (address, SHA-256) in it.
// Of two calls at once, in one process or two, one waits for the other and finds all done.
//
// environment_error: nothing could be downloaded (it says what to put where by hand), or the disk failed;
// input_error: the file that is there is not what it should be; work_stopped: what was downloaded is kept.
[[nodiscard]] std::filesystem::path fetch(const fetch_item& item, const fetch_options& options,
                                          const work_listener& listener);

} // namespace petnet::data
