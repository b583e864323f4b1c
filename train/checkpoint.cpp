// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.hpp"

#include "base/checksum.hpp"
#include "base/errors.hpp"
#include "model/model_file.hpp"
#include "model/weights/tensor_layout.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace petnet::train {
namespace {

constexpr const char* metadata_key = "petnet.checkpoint";
constexpr int format_version = 2;

nlohmann::json to_json(const checkpoint_info& info) {
    const training_position& p = info.position;
    return {{"version", format_version},
            {"phase", p.phase},
            {"epoch", p.epoch},
            {"step_in_epoch", p.step_in_epoch},
            {"step", p.step},
            // As the shortest text that reads back to the same bits; null where the loss is
            // not a number.
            {"train_loss_average", p.train_loss.average},
            {"train_loss_count", p.train_loss.count},
            {"identity", info.identity},
            {"metrics_bytes", info.metrics_bytes}};
}

// Steps and bytes are counted in numbers that a double holds exactly; others stand in no file of petnet's.
template <typename number> number counted(const nlohmann::json& json, const char* key) {
    constexpr std::int64_t most = std::int64_t{1} << 53;
    const nlohmann::json& value = json.at(key);
    // An unsigned number beyond 2^63 would wrap.
    const bool whole = value.is_number_unsigned() ? value.get<std::uint64_t>() <= std::uint64_t{most}
                                                  : value.is_number_integer();
    if (!whole || value.get<std::int64_t>() < 0 || value.get<std::int64_t>() > most)
        throw std::runtime_error(std::string(key) + " is " + value.dump() + ", a whole number was expected");
    return value.get<number>();
}

double average_of(const nlohmann::json& value) {
    return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

checkpoint_info from_text(const std::string& text, std::span<const model::weight_tensor> tensors) {
    auto json = nlohmann::json::parse(text);
    if (json.at("version") != format_version) throw std::runtime_error("another version");
    const auto checksum = json.at("checksum").get<std::string>();
    json.erase("checksum");
    if (checkpoint_checksum(json.dump(), tensors) != checksum)
        throw std::runtime_error("its checksum is wrong");
    checkpoint_info info;
    info.position = {.phase = counted<std::int64_t>(json, "phase"),
                     .epoch = counted<std::int64_t>(json, "epoch"),
                     .step_in_epoch = counted<std::int64_t>(json, "step_in_epoch"),
                     .step = counted<std::int64_t>(json, "step"),
                     .train_loss = {average_of(json.at("train_loss_average")),
                                    counted<std::int64_t>(json, "train_loss_count")}};
    info.identity = json.at("identity").get<std::string>();
    info.metrics_bytes = counted<std::uint64_t>(json, "metrics_bytes");
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
        result.info = from_text(entry->second, result.state.tensors);
    } catch (const std::exception& e) {
        throw input_error(file.string() + " is damaged, or of another version of petnet: " + e.what());
    }
    return result;
}

void require_position(const training_position& at, const std::vector<training_phase>& phases,
                      std::int64_t steps_per_epoch, const std::filesystem::path& file) {
    const auto here = phases.begin() + std::min<std::int64_t>(at.phase, std::ssize(phases));
    const bool at_end = here == phases.end();
    std::int64_t epochs_before = 0;
    for (auto phase = phases.begin(); phase != here; ++phase) epochs_before += phase->epochs;
    const bool within = at_end ? at.phase == std::ssize(phases) && at.epoch == 0 && at.step_in_epoch == 0
                               : at.epoch < here->epochs && at.step_in_epoch <= steps_per_epoch;
    const std::int64_t of_phase = within ? at.epoch * steps_per_epoch + at.step_in_epoch : 0;
    if (!within || at.step != epochs_before * steps_per_epoch + of_phase || at.train_loss.count != of_phase)
        throw input_error(file.string() + " is damaged: it says to continue where this run has no step");
}

void write_checkpoint(const std::filesystem::path& file, std::span<const model::weight_tensor> tensors,
                      const checkpoint_info& info) {
    nlohmann::json json = to_json(info);
    json["checksum"] = checkpoint_checksum(json.dump(), tensors);
    model::write_safetensors(file, tensors, {{metadata_key, json.dump()}});
}

std::string checkpoint_checksum(const std::string& info, std::span<const model::weight_tensor> tensors) {
    std::vector<const model::weight_tensor*> order;
    for (const model::weight_tensor& tensor : tensors) order.push_back(&tensor);
    std::ranges::sort(order, {}, &model::weight_tensor::name);
    const auto of_text = [](const std::string& text, std::uint64_t seed) {
        return checksum_of(std::as_bytes(std::span(text)), seed);
    };
    std::uint64_t sum = of_text(info, 0);
    for (const model::weight_tensor* tensor : order) {
        sum = of_text(fmt::format("{} {} {}", tensor->name, model::to_string(tensor->dtype),
                                  model::extents_text(tensor->shape)),
                      sum);
        sum = checksum_of(tensor->bytes, sum);
    }
    return fmt::format("{:016x}", sum);
}

checkpoint_writer::checkpoint_writer(std::filesystem::path file) : file_(std::move(file)) {}

checkpoint_writer::~checkpoint_writer() {
    if (thread_.joinable()) thread_.join();
}

void checkpoint_writer::write(std::vector<model::weight_tensor> state, const checkpoint_info& info) {
    wait();
    thread_ = std::thread([this, state = std::move(state), info] {
        try {
            write_checkpoint(file_, state, info);
        } catch (const std::exception& problem) {
            const std::lock_guard lock(mutex_);
            failure_ = problem.what();
        }
    });
}

void checkpoint_writer::wait() {
    if (thread_.joinable()) thread_.join();
}

std::optional<std::string> checkpoint_writer::take_failure() {
    const std::lock_guard lock(mutex_);
    return std::exchange(failure_, std::nullopt);
}

} // namespace petnet::train
