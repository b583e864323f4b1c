// SPDX-License-Identifier: Apache-2.0
#include "app/manual_page.hpp"

#include <fmt/format.h>
#include <sstream>
#include <string_view>

namespace petnet::app {
namespace {

// Text that roff prints as it is: no escapes, no requests, and the characters of a terminal where it would
// set a typographer's.
std::string roff(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
        case '\\':
            result += "\\e";
            break;
        case '-':
            result += "\\-";
            break;
        case '\'':
            result += "\\(aq";
            break;
        case '`':
            result += "\\(ga";
            break;
        case '^':
            result += "\\(ha";
            break;
        case '~':
            result += "\\(ti";
            break;
        default:
            result += c;
        }
    }
    return result.starts_with('.') ? "\\&" + result : result;
}

// Running text; below a line that ends with a colon, what is indented stays as it stands.
std::string paragraphs(const std::string& text) {
    std::string result;
    std::istringstream lines(text);
    bool introduced = false, listed = false;
    for (std::string line; std::getline(lines, line); introduced = line.ends_with(':')) {
        const bool indented = line.starts_with(' ');
        if (indented && introduced) result += ".nf\n", listed = true;
        if (!indented && listed) result += ".fi\n", listed = false;
        if (line.ends_with(':') && !result.empty()) result += ".PP\n";
        result += listed ? roff(line) + "\n" : roff(line.substr(line.find_first_not_of(' '))) + "\n";
    }
    return listed ? result + ".fi\n" : result;
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }

// "--size INT=224", or only "IMAGE..." where no dash stands before it
std::string synopsis(const CLI::Option& option) {
    if (!option.nonpositional()) return roff(option.get_option_text());
    std::string name = bold(option.get_name(false, true));
    if (!option.get_option_text().empty()) return name + " " + roff(option.get_option_text());
    if (option.get_items_expected_max() == 0) return name; // a flag
    const std::string& standard = option.get_default_str();
    return name + " " + roff(option.get_type_name() + (standard.empty() ? "" : "=" + standard));
}

std::string described(const CLI::Option& option) {
    std::string text = ".TP\n" + synopsis(option) + "\n" + roff(option.get_description()) + "\n";
    if (!option.get_envname().empty()) text += ".br\nEnvironment: " + roff(option.get_envname()) + "\n";
    return text;
}

// The options by their groups, what has no dash first.
std::string options_of(const CLI::App& command) {
    std::string text;
    for (const CLI::Option* option : command.get_options())
        if (!option->nonpositional()) text += described(*option);
    for (const std::string& group : command.get_groups()) {
        if (group.empty()) continue;
        std::string listed;
        for (const CLI::Option* option : command.get_options())
            if (option->nonpositional() && option->get_group() == group) listed += described(*option);
        const bool named = !listed.empty() && group != "Options";
        text += (named ? ".PP\n" + roff(group) + ":\n" : "") + listed;
    }
    return text;
}

std::string commands_of(const CLI::App& parent, const std::string& before) {
    std::string text;
    for (const CLI::App* command : parent.get_subcommands({})) {
        if (command->get_group().empty()) continue;
        const std::string name = before + " " + command->get_name();
        std::string arguments;
        for (const CLI::Option* option : command->get_options())
            if (!option->nonpositional()) arguments += " " + option->get_option_text();
        text += fmt::format(".SS \"{} [OPTIONS]{}\"\n{}\n", roff(name), roff(arguments),
                            roff(command->get_description()));
        text += options_of(*command);
        if (!command->get_footer().empty()) text += ".PP\n" + paragraphs(command->get_footer());
        text += commands_of(*command, name);
    }
    return text;
}

} // namespace

std::string manual_page(const CLI::App& program, const std::string& version) {
    const std::string& name = program.get_name();
    std::string description = program.get_description(); // "petnet fine-tunes ..."
    if (description.starts_with(name + " ")) description.erase(0, name.size() + 1);
    return fmt::format(
        ".TH PETNET 1 \"\" \"{}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n"
        ".SH SYNOPSIS\n{} \\fICOMMAND\\fR [OPTIONS]\n.SH DESCRIPTION\n{}.SH OPTIONS\n{}.SH COMMANDS\n{}",
        roff(version), name, roff(description), bold(name), paragraphs(program.get_footer()),
        options_of(program), commands_of(program, name));
}

} // namespace petnet::app
