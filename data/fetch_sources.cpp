// SPDX-License-Identifier: Apache-2.0
#include "data/fetch_sources.hpp"

namespace petnet::data {

const std::vector<fetch_item>& fetch_items() {
    static const std::vector<fetch_item> items{
        {.name = "pets",
         .title = "Oxford-IIIT Pet photographs",
         .variable = "PETNET_PETS_URL",
         .place = "pets",
         .most_bytes = 1'000'000'000,
         // fastai's archive has some 26,000 members, with the segmentations that are not unpacked.
         .unpacked = archive_limits{.bytes = 2'000'000'000, .members = 50'000, .ratio = 20},
         .photographs = 7390,
         .sources = {{// The MD5 is torchvision's (OxfordIIITPet).
                      .url = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
                      .file = "images.tar.gz",
                      .md5 = "5c4f3ee8e5d25df40f4fd59a7f44e54c",
                      .inside = "images"},
                     {// The size is fastai's (download_checks); a hash of all of it is published nowhere.
                      .url = "https://s3.amazonaws.com/fast-ai-imageclas/oxford-iiit-pet.tgz",
                      .file = "oxford-iiit-pet.tgz",
                      .bytes = 811'706'944,
                      .inside = "oxford-iiit-pet/images"}}},
        {.name = "resnet34",
         .title = "ImageNet weights",
         .variable = "PETNET_RESNET34_URL",
         .place = "resnet34-b627a593.pth",
         .most_bytes = 200'000'000,
         // torchvision names its files by the first digits of their SHA-256.
         .sources = {{.url = "https://download.pytorch.org/models/resnet34-b627a593.pth",
                      .file = "resnet34-b627a593.pth",
                      .sha256 = "b627a593"}}}};
    return items;
}

const fetch_item& pets_item() { return fetch_items()[0]; }
const fetch_item& resnet34_item() { return fetch_items()[1]; }

} // namespace petnet::data
