// SPDX-License-Identifier: Apache-2.0
// `petnet completion SHELL` prints what a shell needs to complete petnet's command lines: it asks `petnet
// __complete WORD...`, which is in no list of commands, for each. That prints a candidate a line, with its
// description behind a tab, and as the last line :files, :folders or :nothing.
#include "app/commands.hpp"
#include "app/completion.hpp"
#include "app/console.hpp"
#include "base/errors.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace petnet::app {
namespace {

// -o default, -o plusdirs: the shell itself completes names of files, as it knows how to quote them.
constexpr std::string_view bash = R"bash(# bash completion for petnet, printed by `petnet completion bash`
_petnet() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) compopt -o default ;;
            :folders) compopt -o plusdirs ;;
            :nothing) ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _petnet petnet
)bash";

constexpr std::string_view zsh = R"zsh(#compdef petnet
# zsh completion for petnet, printed by `petnet completion zsh`
_petnet() {
    local line paths
    local -a found
    for line in ${(f)"$($words[1] __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        case $line in
            :*) paths=$line ;;
            *) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    (( $#found )) && _describe petnet found
    case $paths in
        :files) _files ;;
        :folders) _files -/ ;;
    esac
}
if [[ $funcstack[1] == _petnet ]]; then _petnet; else compdef _petnet petnet; fi
)zsh";

constexpr std::string_view fish = R"fish(# fish completion for petnet, printed by `petnet completion fish`
function __petnet_complete
    set -l before (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    for line in ($before[1] __complete $before[2..-1] "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$current"
            case :folders
                __fish_complete_directories "$current"
            case :nothing
            case '*'
                echo $line
        end
    end
end
complete --command petnet --no-files --arguments '(__petnet_complete)'
)fish";

void print_script(const std::string& shell) {
    for (const auto& [name, script] :
         {std::pair("bash", bash), std::pair("zsh", zsh), std::pair("fish", fish)})
        if (shell == name) return tell_result(script);
    throw usage_error("completion is for bash, zsh and fish, not for \"" + shell + "\"");
}

void print_candidates(const CLI::App& program, const std::vector<std::string>& words) {
    const completion found = complete(program, words);
    for (const candidate& each : found.candidates) tell_result("{}\t{}\n", each.word, each.help);
    tell_result("{}\n", found.paths == path_kind::files     ? ":files"
                        : found.paths == path_kind::folders ? ":folders"
                                                            : ":nothing");
}

} // namespace

void add_completion(CLI::App& program) {
    CLI::App* command =
        program.add_subcommand("completion", "print what a shell needs to complete petnet's commands");
    const auto shell = std::make_shared<std::string>();
    command->add_option("shell", *shell, "the shell to print it for")
        ->required()
        ->option_text("bash|zsh|fish");
    command->footer(
        "Commands, options, values and files are then completed by the tabulator key.\n"
        "Examples:\n"
        "  source <(petnet completion bash)                       in this shell; in ~/.bashrc: in all\n"
        "  petnet completion zsh > \"${fpath[1]}/_petnet\"\n"
        "  petnet completion fish > ~/.config/fish/completions/petnet.fish");
    command->callback([shell] { print_script(*shell); });

    CLI::App* ask = program.add_subcommand("__complete", "")->group("")->prefix_command();
    ask->set_help_flag();
    ask->callback([&program, ask] { print_candidates(program, ask->remaining()); });
}

} // namespace petnet::app
