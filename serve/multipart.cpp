// SPDX-License-Identifier: Apache-2.0
#include "serve/multipart.hpp"

#include "serve/refusal.hpp"
#include "serve/words.hpp"

namespace petnet::serve {
namespace {

constexpr std::size_t largest_head = 16 * 1024; // of a part

// The value of `name` among the parameters of a header ("form-data; name=\"photo\"; filename=\"a.jpg\"").
std::string parameter(std::string_view header, std::string_view name) {
    std::size_t at = header.find(';');
    while (at < header.size()) {
        const std::string_view rest = header.substr(at + 1);
        const std::size_t equals = rest.find('=');
        if (equals == std::string_view::npos) return {};
        const bool wanted = same_word(trimmed(rest.substr(0, equals)), name);
        at += equals + 2; // the value's first character
        std::string value;
        if (at < header.size() && header[at] == '"') {
            for (++at; at < header.size() && header[at] != '"'; ++at) {
                if (header[at] == '\\' && at + 1 < header.size()) ++at;
                value += header[at];
            }
            at = header.find(';', at);
        } else {
            const std::size_t end = header.find(';', at);
            value = trimmed(header.substr(at, end == std::string_view::npos ? end : end - at));
            at = end;
        }
        if (wanted) return value;
    }
    return {};
}

class form_reader {
  public:
    form_reader(std::string_view body, const std::string& boundary)
        : rest_(body), delimiter_("\r\n--" + boundary) {
        // The first delimiter may stand at the very beginning, without the line end before it.
        const std::string_view first = std::string_view(delimiter_).substr(2);
        if (rest_.starts_with(first))
            rest_.remove_prefix(first.size());
        else
            (void)up_to_delimiter();
    }

    // Whether another part follows the delimiter.
    bool next() {
        if (rest_.starts_with("--")) return false;
        while (rest_.starts_with(' ') || rest_.starts_with('\t')) rest_.remove_prefix(1);
        if (!rest_.starts_with("\r\n")) cut_short();
        return true;
    }

    form_part part() {
        form_part read;
        // The line end of the delimiter is the beginning of the empty line, where there are no headers.
        const std::size_t end = rest_.find("\r\n\r\n");
        if (end > largest_head) cut_short(); // or there is none
        std::string_view head = rest_.substr(0, end);
        rest_.remove_prefix(end + 4);
        while (!head.empty()) {
            head.remove_prefix(2);
            const std::string_view line = head.substr(0, head.find("\r\n"));
            head.remove_prefix(line.size());
            const std::size_t colon = line.find(':');
            if (colon == std::string_view::npos) continue;
            const std::string_view name = trimmed(line.substr(0, colon)), value = line.substr(colon + 1);
            if (same_word(name, "content-disposition")) read.file = parameter(value, "filename");
            if (same_word(name, "content-type")) read.type = trimmed(value);
        }
        read.data = up_to_delimiter();
        return read;
    }

  private:
    [[noreturn]] static void cut_short() {
        throw refusal(400, "the multipart/form-data is damaged or ends early");
    }
    std::string_view up_to_delimiter() {
        const std::size_t at = rest_.find(delimiter_);
        if (at == std::string_view::npos) cut_short();
        const std::string_view data = rest_.substr(0, at);
        rest_.remove_prefix(at + delimiter_.size());
        return data;
    }

    std::string_view rest_;
    std::string delimiter_;
};

} // namespace

std::vector<form_part> parse_form(std::string_view content_type, std::string_view body, std::size_t most) {
    const std::string boundary = parameter(content_type, "boundary");
    if (boundary.empty() || boundary.size() > 70)
        throw refusal(400, "multipart/form-data without a boundary of 1 to 70 characters");
    form_reader reader(body, boundary);
    std::vector<form_part> parts;
    while (reader.next()) {
        if (parts.size() == most) throw refusal(413, "more than " + std::to_string(most) + " parts");
        parts.push_back(reader.part());
    }
    return parts;
}

} // namespace petnet::serve
