// SPDX-License-Identifier: Apache-2.0
#include "train/places.hpp"

#include "base/errors.hpp"

#include <cstdlib>
#include <initializer_list>

namespace petnet::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* embedded_weights_name = "resnet34-animals.safetensors.zst";
constexpr const char* imagenet_weights_name = "resnet34-b627a593.pth";
constexpr const char* imagenet_weights_address = "https://download.pytorch.org/models/resnet34-b627a593.pth";

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

fs::path cache_folder() {
    if (const std::string own = environment("PETNET_CACHE_DIR"); !own.empty()) return own;
    const std::string xdg = environment("XDG_CACHE_HOME"), home = environment("HOME");
    return xdg.empty() ? fs::path(home.empty() ? "/tmp" : home) / ".cache/petnet" : fs::path(xdg) / "petnet";
}

fs::path imagenet_weights() {
    fs::path file = cache_folder() / imagenet_weights_name;
    std::error_code ignored;
    if (fs::is_regular_file(file, ignored)) return file;
    throw environment_error(std::string("ImageNet weights are not here: download ") +
                            imagenet_weights_address + " and put it at " + file.string() +
                            ", or train from --weights embedded");
}

} // namespace petnet::train
