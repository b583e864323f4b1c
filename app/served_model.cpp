// SPDX-License-Identifier: Apache-2.0
#include "app/served_model.hpp"

#include "app/inference_options.hpp"
#include "base/errors.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace petnet::app {

namespace fs = std::filesystem;

std::string served_model(const std::string& named) {
    if (!named.empty()) return named;
    const char* mounted = std::getenv("AZUREML_MODEL_DIR");
    if (mounted == nullptr || *mounted == '\0') return inference_options{}.model;
    const std::string expected =
        std::string("AZUREML_MODEL_DIR=") + mounted + ": one model.safetensors was expected below it";
    std::vector<std::string> found;
    try {
        for (const fs::directory_entry& entry :
             fs::recursive_directory_iterator(mounted, fs::directory_options::skip_permission_denied))
            if (entry.path().filename() == "model.safetensors") found.push_back(entry.path().string());
    } catch (const fs::filesystem_error& e) {
        throw input_error(expected + ": " + e.code().message());
    }
    if (found.empty()) throw input_error(expected + ", there is none");
    if (found.size() == 1) return found.front();
    std::ranges::sort(found);
    throw input_error(expected + ", there are " + std::to_string(found.size()) + " (--model names one): " +
                      found[0] + ", " + found[1] + (found.size() > 2 ? ", ..." : ""));
}

} // namespace petnet::app
