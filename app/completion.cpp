// SPDX-License-Identifier: Apache-2.0
#include "app/completion.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace petnet::app {
namespace {

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

const CLI::App* subcommand(const CLI::App& command, std::string_view name) {
    const std::vector<const CLI::App*> all = command.get_subcommands({});
    const auto found = std::ranges::find(all, name, &CLI::App::get_name);
    return found == all.end() ? nullptr : *found;
}

// Where a command line stands after the words that it has been told.
class position {
  public:
    explicit position(const CLI::App& program) : command_(&program) {}

    void pass(const std::string& word) {
        if (word == "=") return; // of bash's --recipe = augmented
        if (open_ != nullptr) {
            open_ = nullptr;
        } else if (word.starts_with("-") && word != "-") {
            const std::size_t equals = word.find('=');
            const CLI::Option* option = command_->get_option_no_throw(word.substr(0, equals));
            if (option == nullptr) return;
            given_.push_back(option);
            if (takes_value(*option) && equals == std::string::npos) open_ = option;
        } else if (const CLI::App* next = subcommand(*command_, word); next != nullptr) {
            command_ = next;
        }
    }

    [[nodiscard]] const CLI::App& command() const { return *command_; }
    // The option whose value comes next, or null.
    [[nodiscard]] const CLI::Option* open() const { return open_; }
    [[nodiscard]] bool given(const CLI::Option* option) const {
        return std::ranges::find(given_, option) != given_.end();
    }

  private:
    const CLI::App* command_;
    const CLI::Option* open_ = nullptr;
    std::vector<const CLI::Option*> given_;
};

void add_values(completion& found, const CLI::Option& option, const std::string& before = "") {
    const std::string text =
        option.get_option_text().empty() ? option.get_type_name() : option.get_option_text();
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::string_view value = rest.substr(0, rest.find('|'));
        rest.remove_prefix(std::min(value.size() + 1, rest.size()));
        if (value.starts_with("FILE") || value.starts_with("IMAGE"))
            found.paths = path_kind::files;
        else if (value.starts_with("DIR"))
            found.paths = found.paths == path_kind::files ? path_kind::files : path_kind::folders;
        else if (std::ranges::none_of(value, [](unsigned char c) { return std::isupper(c) != 0; }))
            found.candidates.push_back({before + std::string(value.substr(0, value.find('='))), ""});
    }
}

void add_options(completion& found, const position& at) {
    for (const CLI::Option* option : at.command().get_options())
        if (!option->get_lnames().empty() && !at.given(option))
            found.candidates.push_back({"--" + option->get_lnames().front(), option->get_description()});
}

// What stands where there is no option: a subcommand, or what the command works on.
void add_arguments(completion& found, const position& at) {
    for (const CLI::App* each : at.command().get_subcommands({}))
        if (!each->get_group().empty()) // else it is hidden
            found.candidates.push_back({each->get_name(), each->get_description()});
    for (const CLI::Option* option : at.command().get_options())
        if (option->get_positional()) add_values(found, *option);
}

completion all(const position& at, const std::string& word) {
    completion found;
    if (at.open() != nullptr) {
        add_values(found, *at.open());
        return found;
    }
    if (const std::size_t equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
        const CLI::Option* option = at.command().get_option_no_throw(word.substr(0, equals));
        if (option != nullptr) add_values(found, *option, word.substr(0, equals + 1));
        return found;
    }
    if (!word.starts_with("-")) add_arguments(found, at);
    const bool takes_options_only = found.candidates.empty() && found.paths == path_kind::none;
    if (word.starts_with("-") || takes_options_only) add_options(found, at);
    return found;
}

} // namespace

completion complete(const CLI::App& program, std::span<const std::string> words) {
    position at(program);
    if (words.empty()) return {};
    for (const std::string& word : words.first(words.size() - 1)) at.pass(word);
    const std::string last = at.open() != nullptr && words.back() == "=" ? "" : words.back();
    completion found = all(at, last);
    std::erase_if(found.candidates, [&](const candidate& each) { return !each.word.starts_with(last); });
    return found;
}

} // namespace petnet::app
