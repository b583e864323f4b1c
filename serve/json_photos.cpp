// SPDX-License-Identifier: Apache-2.0
#include "serve/json_photos.hpp"

#include "serve/base64.hpp"
#include "serve/refusal.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

namespace petnet::serve {
namespace {

using json = nlohmann::json;

// Where the reader is; a value of another kind than the place allows is refused at once, so that nesting is
// three deep at most.
enum class place : std::uint8_t { outside, top, image, images, photo, file, data, done };

class photo_events final : public nlohmann::json_sax<json> {
  public:
    explicit photo_events(std::size_t most) : most_(most) {}
    [[nodiscard]] std::vector<json_photo>& photos() { return photos_; }

    bool null() override { wrong(); }
    bool boolean(bool) override { wrong(); }
    bool number_integer(number_integer_t) override { wrong(); }
    bool number_unsigned(number_unsigned_t) override { wrong(); }
    bool number_float(number_float_t, const string_t&) override { wrong(); }
    bool binary(binary_t&) override { wrong(); }
    bool string(string_t& value) override {
        switch (place_) {
        case place::image:
            add({}, value);
            place_ = place::top;
            return true;
        case place::images:
            if (!listed_) wrong(); // "images": "..."
            add({}, value);
            return true;
        case place::file:
            file_ = value;
            place_ = place::photo;
            return true;
        case place::data:
            data_ = std::move(value);
            place_ = place::photo;
            return true;
        default:
            wrong();
        }
    }
    bool start_object(std::size_t) override {
        if (place_ == place::outside) {
            place_ = place::top;
            return true;
        }
        if (place_ != place::image && (place_ != place::images || !listed_)) wrong();
        within_ = place_;
        place_ = place::photo;
        file_.clear();
        data_.reset();
        return true;
    }
    bool key(string_t& name) override {
        if (place_ == place::top && name == "image")
            place_ = place::image;
        else if (place_ == place::top && name == "images")
            place_ = place::images;
        else if (place_ == place::photo && name == "file")
            place_ = place::file;
        else if (place_ == place::photo && name == "data")
            place_ = place::data;
        else
            wrong();
        return true;
    }
    bool end_object() override {
        if (place_ == place::top) {
            place_ = place::done;
            return true;
        }
        if (!data_) wrong();
        add(std::move(file_), *data_);
        place_ = within_ == place::image ? place::top : place::images;
        return true;
    }
    bool start_array(std::size_t) override {
        if (place_ != place::images || listed_) wrong();
        listed_ = true;
        return true;
    }
    bool end_array() override {
        listed_ = false;
        place_ = place::top;
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
        throw refusal(400, "the body is no JSON: it breaks off or makes no sense at byte " +
                               std::to_string(position));
    }

  private:
    [[noreturn]] static void wrong() {
        throw refusal(400,
                      R"(expected {"image": PHOTO} or {"images": [PHOTO, ...]}, where PHOTO is "BASE64" or )"
                      R"({"file": "NAME", "data": "BASE64"})");
    }
    void add(std::string file, std::string_view text) {
        if (photos_.size() == most_)
            throw refusal(413, "more than " + std::to_string(most_) + " photographs");
        const std::string number = std::to_string(photos_.size() + 1);
        if (text.starts_with("data:")) {
            constexpr std::string_view marker = ";base64,";
            const std::size_t at = text.substr(0, 200).find(marker);
            if (at == std::string_view::npos)
                throw refusal(400, "photograph " + number + ": a data URL without " + std::string(marker));
            text.remove_prefix(at + marker.size());
        }
        std::optional<std::string> bytes = from_base64(text);
        if (!bytes) throw refusal(400, "photograph " + number + ": its data are not base64");
        photos_.push_back({std::move(file), std::move(*bytes)});
    }

    std::size_t most_;
    std::vector<json_photo> photos_;
    place place_ = place::outside, within_ = place::outside;
    bool listed_ = false; // inside the brackets of "images"
    std::string file_;
    std::optional<std::string> data_;
};

} // namespace

std::vector<json_photo> parse_json_photos(std::string_view body, std::size_t most) {
    photo_events events(most);
    json::sax_parse(body, &events);
    return std::move(events.photos());
}

} // namespace petnet::serve
