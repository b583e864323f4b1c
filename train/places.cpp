// SPDX-License-Identifier: Apache-2.0
#include "train/places.hpp"

#include "base/cache_folder.hpp"
#include "base/errors.hpp"
#include "data/fetch.hpp"

#include <cstdlib>
#include <initializer_list>
#include <string>

namespace petnet::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* embedded_weights_name = "resnet34-animals.safetensors.zst";

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

} // namespace

fs::path sample_folder() {
    std::error_code ignored;
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    for (const fs::path& candidate :
         {fs::path(environment("PETNET_SAMPLE_DIR")),
          program.parent_path().parent_path() / "share/petnet/sample", fs::path(PETNET_SOURCE_SAMPLE_DIR)})
        if (!candidate.empty() && fs::is_directory(candidate / "images", ignored)) return candidate;
    throw environment_error(
        "the embedded sample is not beside the program: give --data DIR, or set PETNET_SAMPLE_DIR "
        "to the folder data/sample of petnet's sources");
}

fs::path embedded_weights() { return sample_folder() / embedded_weights_name; }

fs::path data_folder(const fs::path& data, const data::work_listener& listener) {
    if (data.empty()) return sample_folder();
    std::error_code ignored;
    if (data != data::pets_item().name || fs::exists(data, ignored)) return data;
    return data::fetch(data::pets_item(), {.cache = cache_folder()}, listener);
}

fs::path imagenet_weights(const data::work_listener& listener) {
    try {
        return data::fetch(data::resnet34_item(), {.cache = cache_folder()}, listener);
    } catch (const environment_error& e) {
        throw environment_error(std::string(e.what()) + ", or train from --weights embedded");
    }
}

} // namespace petnet::train
