// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fmt/core.h>
#include <sstream>

namespace petnet::app {
namespace {

// CLI11 throws its help requests with pointers into the parser; the text is taken while it lives.
std::string answer_text;

std::size_t edit_distance(std::string_view a, std::string_view b) {
    // Optimal string alignment distance; three rows of the table are enough.
    std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        next[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                next[j] = std::min(next[j], before[j - 2] + 1);
        }
        before.swap(row);
        row.swap(next);
    }
    return row[b.size()];
}

std::vector<std::string> option_names(const CLI::App& command) {
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options())
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    return names;
}

std::string suggestion(const std::string& near) { return near.empty() ? "" : ", did you mean " + near + "?"; }

// The subcommand that the command line chose, else the program itself.
CLI::App& chosen(CLI::App& program) {
    const auto subcommands = program.get_subcommands();
    return subcommands.empty() ? program : *subcommands.front();
}

[[noreturn]] void refuse_unknown(CLI::App& program, const std::string& word) {
    CLI::App& command = chosen(program);
    if (word.starts_with("-")) {
        const std::string name = word.substr(0, word.find('='));
        throw usage_error(
            "unknown option " + name + suggestion(nearest(name, option_names(command))) +
            (&command == &program ? "" : " (petnet " + command.get_name() + " --help lists them all)"));
    }
    if (&command != &program)
        throw usage_error("unexpected argument \"" + word + "\" for petnet " + command.get_name());
    std::vector<std::string> names;
    for (const CLI::App* subcommand : program.get_subcommands({})) names.push_back(subcommand->get_name());
    throw usage_error("unknown command \"" + word + "\"" + suggestion(nearest(word, names)) +
                      " (petnet --help lists them all)");
}

// The settings of a --config file as further arguments; those given on the command line win.
std::vector<std::string> with_config(const CLI::App& program, std::vector<std::string> arguments) {
    std::string file;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i] == "--config" && i + 1 < arguments.size()) file = arguments[i + 1];
        if (arguments[i].starts_with("--config=")) file = arguments[i].substr(9);
    }
    if (const char* named = std::getenv("PETNET_CONFIG"); file.empty() && named != nullptr) file = named;
    if (file.empty() || arguments.empty()) return arguments;
    if (program.get_subcommand(arguments.front())->get_option_no_throw("--config") == nullptr)
        return arguments;
    constexpr std::size_t longest = 1024 * 1024;
    const std::vector<std::byte> bytes = read_file(file, longest); // a folder would open as an empty stream
    std::istringstream stream(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    std::vector<CLI::ConfigItem> items;
    try {
        items = CLI::ConfigTOML().from_config(stream);
    } catch (const std::exception& e) {
        throw input_error(file + ": not a TOML or INI file of settings: " + e.what());
    }
    const auto given = [&](const std::string& option) {
        return std::ranges::any_of(
            arguments, [&](const std::string& a) { return a == option || a.starts_with(option + "="); });
    };
    std::vector<std::string> added;
    for (const CLI::ConfigItem& item : items) {
        if (item.name == "++" || item.name == "--")
            continue; // CLI11's marks for where a section begins and ends
        if (!item.parents.empty() && item.parents.front() != arguments.front()) continue; // another command's
        const std::string option = "--" + item.name;
        const auto known = option_names(*program.get_subcommand(arguments.front()));
        if (std::ranges::find(known, option) == known.end())
            throw usage_error(file + ": unknown setting " + item.name + suggestion(nearest(option, known)));
        const auto replaced = [&](const CLI::Option* other) { return given(other->get_name()); };
        const CLI::Option* setting = program.get_subcommand(arguments.front())->get_option(option);
        if (given(option) || std::ranges::any_of(setting->get_excludes(), replaced)) continue;
        for (const std::string& value : item.inputs) added.push_back(option + "=" + value);
    }
    arguments.insert(arguments.end(), added.begin(), added.end());
    return arguments;
}

} // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
    std::string best;
    std::size_t best_distance = 1 + word.size() / 3; // beyond a third of its letters, it is another word
    for (const std::string& candidate : known) {
        // A word cut short means what it begins.
        const std::size_t distance = candidate.starts_with(word) ? 1 : edit_distance(word, candidate);
        if (distance < best_distance || (distance == best_distance && best.empty())) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

void parse(CLI::App& program, int argc, const char* const* argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.empty()) arguments = {"--help"};
    try {
        const auto commands = program.get_subcommands({});
        if (std::ranges::any_of(commands,
                                [&](const CLI::App* c) { return c->get_name() == arguments.front(); }))
            arguments = with_config(program, std::move(arguments));
        std::ranges::reverse(arguments); // CLI11 takes them from the back
        program.parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
        answer_text = chosen(program).help();
        throw;
    } catch (const CLI::CallForAllHelp&) {
        answer_text = program.help("", CLI::AppFormatMode::All);
        throw;
    } catch (const CLI::CallForVersion& e) {
        answer_text = std::string(e.what()) + "\n";
        throw;
    } catch (const CLI::Success&) {
        throw;
    } catch (const CLI::ExtrasError&) {
        const std::vector<std::string> extras = program.remaining(true);
        const auto option =
            std::ranges::find_if(extras, [](const std::string& e) { return e.starts_with("-"); });
        if (extras.empty()) throw;
        refuse_unknown(program, option != extras.end() ? *option : extras.front());
    } catch (const CLI::RequiredError& e) {
        const std::vector<std::string> extras = program.remaining(true);
        if (!extras.empty() && program.get_subcommands().empty()) refuse_unknown(program, extras.front());
        throw usage_error(e.what());
    } catch (const CLI::ParseError& e) {
        throw usage_error(e.what());
    }
}

int print_answer(const CLI::Success&) {
    fmt::print("{}", answer_text);
    return 0;
}

} // namespace petnet::app
