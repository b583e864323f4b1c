// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.hpp"

#include "base/errors.hpp"
#include "model/model_file.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

namespace petnet::train {
namespace {

constexpr const char* metadata_key = "petnet.checkpoint";
constexpr int format_version = 1;

std::string to_text(const checkpoint_info& info) {
    const training_position& p = info.position;
    return nlohmann::json{{"version", format_version},
                          {"phase", p.phase},
                          {"epoch", p.epoch},
                          {"step_in_epoch", p.step_in_epoch},
                          {"step", p.step},
                          // As text of all bits: a resumed average must not differ in the last one.
                          {"train_loss_average", p.train_loss.average},
                          {"train_loss_count", p.train_loss.count},
                          {"identity", info.identity},
                          {"metrics_bytes", info.metrics_bytes}}
        .dump();
}

checkpoint_info from_text(const std::string& text) {
    const auto json = nlohmann::json::parse(text);
    if (json.at("version") != format_version) throw std::runtime_error("another version");
    checkpoint_info info;
    info.position = {.phase = json.at("phase"),
                     .epoch = json.at("epoch"),
                     .step_in_epoch = json.at("step_in_epoch"),
                     .step = json.at("step"),
                     .train_loss = {json.at("train_loss_average"), json.at("train_loss_count")}};
    info.identity = json.at("identity");
    info.metrics_bytes = json.at("metrics_bytes");
    return info;
}

} // namespace

checkpoint read_checkpoint(const std::filesystem::path& file) {
    checkpoint result;
    result.state = model::read_weight_file(file);
    const auto entry = result.state.metadata.find(metadata_key);
    if (entry == result.state.metadata.end())
        throw input_error(file.string() +
                          " is a weight file but no checkpoint: start from it with --weights instead");
    try {
        result.info = from_text(entry->second);
    } catch (const std::exception& e) {
        throw input_error(file.string() + " is no checkpoint of this version of petnet: " + e.what());
    }
    return result;
}

checkpoint_writer::checkpoint_writer(std::filesystem::path file) : file_(std::move(file)) {}

checkpoint_writer::~checkpoint_writer() {
    if (thread_.joinable()) thread_.join();
}

void checkpoint_writer::write(const model::parameters& p, const checkpoint_info& info) {
    wait();
    auto tensors = model::collect_state(p, true);
    std::map<std::string, std::string> metadata{{metadata_key, to_text(info)}};
    thread_ = std::thread([this, tensors = std::move(tensors), metadata = std::move(metadata)] {
        try {
            model::write_safetensors(file_, tensors, metadata);
        } catch (...) {
            failure_ = std::current_exception();
        }
    });
}

void checkpoint_writer::wait() {
    if (thread_.joinable()) thread_.join();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

} // namespace petnet::train
