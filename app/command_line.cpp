// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.hpp"

#include "app/settings_file.hpp"
#include "base/errors.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fmt/core.h>
#include <optional>
#include <span>
#include <utility>

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

// The subcommand that the command line chose, or its subcommand, else the program itself.
CLI::App& chosen(CLI::App& program) {
    const auto subcommands = program.get_subcommands();
    return subcommands.empty() ? program : chosen(*subcommands.front());
}

// "petnet data fetch"
std::string full_name(const CLI::App& command) {
    const CLI::App* parent = command.get_parent();
    return (parent == nullptr ? "" : full_name(*parent) + " ") + command.get_name();
}

// The command that the first words name, as far as they do.
CLI::App& named(CLI::App& program, std::span<const std::string> words) {
    if (words.empty()) return program;
    const auto commands = program.get_subcommands({});
    const auto command = std::ranges::find(commands, words.front(), &CLI::App::get_name);
    return command == commands.end() ? program : named(**command, words.subspan(1));
}

[[noreturn]] void refuse_unknown(CLI::App& program, const std::string& word) {
    CLI::App& command = chosen(program);
    if (word.starts_with("-")) {
        const std::string name = word.substr(0, word.find('='));
        throw usage_error(
            "unknown option " + name + suggestion(nearest(name, option_names(command))) +
            (&command == &program ? "" : " (" + full_name(command) + " --help lists them all)"));
    }
    std::vector<std::string> names;
    for (const CLI::App* subcommand : command.get_subcommands({})) names.push_back(subcommand->get_name());
    if (names.empty()) throw usage_error("unexpected argument \"" + word + "\" for " + full_name(command));
    throw usage_error("unknown command \"" + word + "\"" + suggestion(nearest(word, names)) + " (" +
                      full_name(command) + " --help lists them all)");
}

// `petnet --seed 3 train`: the option is one of a command's, but stands before it.
void refuse_option_before_command(const CLI::App& program, const std::string& word) {
    const std::string name = word.substr(0, word.find('='));
    if (!word.starts_with("--") || program.get_option_no_throw(name) != nullptr) return;
    for (const CLI::App* command : program.get_subcommands({}))
        if (command->get_option_no_throw(name) != nullptr)
            throw usage_error("option " + name + " belongs behind the command, as in petnet " +
                              command->get_name() + " " + name);
}

// What the command line does not say may come from elsewhere.
class argument_sources {
  public:
    argument_sources(const CLI::App& command, std::vector<std::string> arguments)
        : command_(command), arguments_(std::move(arguments)) {
        for (const std::string& name : option_names(command_))
            for (std::size_t i = 0; i < arguments_.size(); ++i)
                if (arguments_[i] == name + "=" ||
                    (arguments_[i] == name && i + 1 < arguments_.size() && arguments_[i + 1].empty()))
                    refuse_empty(name);
    }

    // The settings of the --config file that nothing given replaces.
    void add_file() {
        if (command_.get_option_no_throw("--config") == nullptr) return;
        std::string file;
        for (std::size_t i = 0; i < arguments_.size(); ++i) {
            if (arguments_[i] == "--config" && i + 1 < arguments_.size()) file = arguments_[i + 1];
            if (arguments_[i].starts_with("--config=")) file = arguments_[i].substr(9);
        }
        if (const char* named = std::getenv("PETNET_CONFIG"); file.empty() && named != nullptr) {
            file = named;
            if (file.empty()) refuse_empty("PETNET_CONFIG");
        }
        if (file.empty()) return;
        std::vector<std::string> known = option_names(command_);
        std::erase_if(known, [](const std::string& name) { return name == "--help" || name == "--config"; });
        const std::vector<setting> settings = read_settings(file);
        std::vector<std::string> added;
        for (const setting& each : settings) {
            if (!each.section.empty() && each.section != command_.get_name()) continue; // another command's
            const std::string option = "--" + each.name;
            if (std::ranges::find(known, option) == known.end())
                throw usage_error(file + ": unknown setting " + each.name +
                                  suggestion(nearest(option, known)));
            const std::string source = file + ", line " + std::to_string(each.line);
            if (each.value.empty()) refuse_empty(source + ": " + each.name);
            if (!replaced(option)) add(added, option, each.value, source);
        }
        arguments_.insert(arguments_.end(), added.begin(), added.end());
    }

    // The PETNET_... variables that nothing given replaces. They are taken out of the environment: CLI11
    // would read those that an option of another name excludes.
    void add_environment() {
        std::vector<std::string> added;
        for (const CLI::Option* option : command_.get_options()) {
            const std::string variable = option->get_envname();
            const char* value = variable.empty() ? nullptr : std::getenv(variable.c_str());
            if (value == nullptr) continue;
            if (*value == '\0') refuse_empty(variable);
            if (!replaced(option->get_name())) add(added, option->get_name(), value, variable);
            ::unsetenv(variable.c_str());
        }
        arguments_.insert(arguments_.end(), added.begin(), added.end());
    }

    [[nodiscard]] const std::vector<std::string>& arguments() const { return arguments_; }

    // The message, and where the options in it come from, unless that is the command line.
    [[nodiscard]] std::string with_sources(std::string message) const {
        const std::string original = message;
        for (const auto& [option, source] : sources_) {
            const std::size_t at = original.find(option);
            const std::size_t after = at + option.size();
            const bool whole =
                at != std::string::npos &&
                (after == original.size() ||
                 (original[after] != '-' && std::isalpha(static_cast<unsigned char>(original[after])) == 0));
            if (whole) message += " (" + option + " is from " + source + ")";
        }
        return message;
    }

  private:
    [[noreturn]] static void refuse_empty(const std::string& what) {
        throw usage_error(what + " is empty: leave it out, or give it a value");
    }
    [[nodiscard]] bool given(const std::string& option) const {
        return std::ranges::any_of(
            arguments_, [&](const std::string& a) { return a == option || a.starts_with(option + "="); });
    }
    // Whether the option is given already, or one that excludes it.
    [[nodiscard]] bool replaced(const std::string& option) const {
        return given(option) ||
               std::ranges::any_of(command_.get_option(option)->get_excludes(),
                                   [&](const CLI::Option* other) { return given(other->get_name()); });
    }
    void add(std::vector<std::string>& to, const std::string& option, const std::string& value,
             const std::string& source) {
        to.push_back(option + "=" + value);
        sources_.emplace_back(option, source);
    }

    const CLI::App& command_;
    std::vector<std::string> arguments_;
    std::vector<std::pair<std::string, std::string>> sources_;
};

// Of an option given twice the last one counts, as in most tools; CLI11 would refuse the second.
void let_last_count(CLI::App& command) {
    for (CLI::Option* option : command.get_options([](const CLI::Option* o) { return !o->get_positional(); }))
        if (option->get_items_expected_max() == 1)
            option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
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
    std::optional<argument_sources> sources;
    CLI::App& command = named(program, arguments);
    if (&command == &program) {
        refuse_option_before_command(program, arguments.front());
    } else {
        let_last_count(command);
        sources.emplace(command, std::move(arguments));
        sources->add_file();
        sources->add_environment();
        arguments = sources->arguments();
    }
    const auto with_sources = [&](const char* message) {
        return sources ? sources->with_sources(message) : std::string(message);
    };
    try {
        std::ranges::reverse(arguments); // CLI11 takes them from the back
        program.parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
        CLI::App& asked = chosen(program);
        answer_text = asked.help(asked.get_parent() == nullptr ? "" : full_name(*asked.get_parent()));
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
        if (!extras.empty() && !chosen(program).get_subcommands({}).empty())
            refuse_unknown(program, extras.front());
        throw usage_error(e.what());
    } catch (const CLI::ParseError& e) {
        throw usage_error(with_sources(e.what()));
    } catch (const usage_error& e) {
        throw usage_error(with_sources(e.what()));
    }
}

int print_answer(const CLI::Success&) {
    fmt::print("{}", answer_text);
    return 0;
}

} // namespace petnet::app
