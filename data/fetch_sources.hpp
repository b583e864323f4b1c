// SPDX-License-Identifier: Apache-2.0
// What petnet can fetch, from where, and how it is recognised.
#pragma once

#include "data/archive.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::data {

// One place that has it. What is empty or 0 is not known.
struct fetch_source {
    std::string url;
    std::string file;   // as which it lies in the cache folder, also when somebody put it there by hand
    std::string sha256; // lower-case hexadecimal, or its first digits
    std::string md5;    // likewise, whole
    std::uint64_t bytes = 0;
    std::string inside; // the folder of the archive that holds the photographs

    // Whether a hash tells the right file, so that what is in it need not be looked at.
    [[nodiscard]] bool has_hash() const { return !sha256.empty() || !md5.empty(); }
};

struct fetch_item {
    std::string name;                       // for `petnet data fetch`
    std::string title;                      // "ImageNet weights"
    std::string variable;                   // of the environment: the URL of a mirror
    std::string place;                      // in the cache folder: a folder with `images` in it, or a file
    std::uint64_t most_bytes = 0;           // of the file to download
    std::optional<archive_limits> unpacked; // the file is an archive of photographs
    std::uint64_t photographs = 0;          // that the archive holds
    std::vector<fetch_source> sources;      // tried in this order; the first also stands for mirrors
};

// "pets": the photographs of the Oxford-IIIT Pet data set. "resnet34": torchvision's ImageNet weights.
[[nodiscard]] const std::vector<fetch_item>& fetch_items();
[[nodiscard]] const fetch_item& pets_item();
[[nodiscard]] const fetch_item& resnet34_item();

} // namespace petnet::data
