// SPDX-License-Identifier: Apache-2.0
#include "model/model_description.hpp"

#include "model/weights/refusal.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

namespace petnet::model {
namespace {

using nlohmann::json;

// As decimals that read back to the same float32, not to the double nearest to it.
std::string shortest(std::span<const float> values) {
    std::string text;
    for (const float value : values) {
        std::array<char, 32> digits{};
        const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
        text += text.empty() ? '[' : ',';
        text.append(digits.data(), end);
    }
    return text + "]";
}

class metadata_reader {
  public:
    metadata_reader(const weight_file& model, std::string_view file)
        : metadata_(model.metadata), file_(file) {}

    [[nodiscard]] const std::string& text(const char* name) const {
        const auto found = metadata_.find(name);
        if (found == metadata_.end())
            refuse(file_, std::string("this is no model of petnet train: its metadata lack \"") + name +
                              "\" (a model.safetensors was expected)");
        return found->second;
    }

    [[nodiscard]] std::int64_t side(const char* name) const {
        constexpr std::int64_t smallest = 32, largest = 16384;
        const std::string& digits = text(name);
        std::int64_t value = 0;
        const char* const all = digits.data() + digits.size();
        const auto [end, error] = std::from_chars(digits.data(), all, value);
        if (error != std::errc() || end != all || value < smallest || value > largest)
            refuse(file_, std::string("the metadata \"") + name + "\" is " + printable(digits) +
                              ": a number of pixels from 32 to 16384 was expected");
        return value;
    }

    [[nodiscard]] std::array<float, 3> colour(const char* name, float above) const {
        std::array<float, 3> values{};
        const json read = json::parse(text(name), nullptr, false);
        const auto fits = [above](const json& value) {
            return value.is_number() && std::isfinite(value.get<float>()) && value.get<float>() > above;
        };
        if (!read.is_array() || read.size() != values.size() || !std::ranges::all_of(read, fits))
            refuse(file_, std::string("the metadata \"") + name + "\" is " + printable(text(name)) +
                              ": a list of three numbers was expected");
        std::ranges::transform(read, values.begin(), [](const json& value) { return value.get<float>(); });
        return values;
    }

    [[nodiscard]] std::vector<std::string> names(const char* name) const {
        const json read = json::parse(text(name), nullptr, false);
        const auto fits = [](const json& value) {
            return value.is_string() && !value.get_ref<const std::string&>().empty();
        };
        if (!read.is_array() || read.empty() || !std::ranges::all_of(read, fits))
            refuse(file_, std::string("the metadata \"") + name + "\" is " + printable(text(name)) +
                              ": a list of names was expected");
        return read.get<std::vector<std::string>>();
    }

  private:
    const std::map<std::string, std::string>& metadata_;
    std::string_view file_;
};

} // namespace

std::map<std::string, std::string> metadata_of(const model_description& d) {
    return {{"format", "pt"}, // what PyTorch's loaders expect of safetensors
            {"classes", json(d.classes).dump()},
            {"size", std::to_string(d.size)},
            {"mean", shortest(d.mean)},
            {"std", shortest(d.deviation)},
            {"recipe", d.recipe},
            {"photo_size", std::to_string(d.photo_size)},
            {"exif", d.turned_by_exif ? "turned" : "ignored"},
            {"labels", d.labels}};
}

model_description describe(const weight_file& model, std::string_view file) {
    const metadata_reader read(model, file);
    model_description d;
    d.classes = read.names("classes");
    d.size = read.side("size");
    d.photo_size = read.side("photo_size");
    if (d.photo_size < d.size) refuse(file, "the metadata \"photo_size\" is below \"size\"");
    d.mean = read.colour("mean", std::numeric_limits<float>::lowest());
    d.deviation = read.colour("std", 0);
    d.recipe = read.text("recipe");
    d.turned_by_exif = read.text("exif") == "turned";
    d.labels = read.text("labels");
    const weight_tensor* const last = model.find("head.fc2.weight");
    if (last != nullptr && !last->shape.empty() &&
        last->shape.front() != static_cast<std::int64_t>(d.classes.size()))
        refuse(file, std::to_string(d.classes.size()) + " classes are named, but the head has " +
                         std::to_string(last->shape.front()));
    return d;
}

} // namespace petnet::model
