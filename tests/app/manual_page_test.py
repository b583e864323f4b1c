#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manual_page_test.py PROGRAM: the manual page has every command and option of --help, and groff and mandoc, where
they are installed, find nothing wrong with it."""
import os
import re
import shutil
import subprocess
import sys

PROGRAM = sys.argv[1]


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def helped(*command):
    """The commands and options that --help lists, of the command and those below it."""
    text = output(PROGRAM, *command, "--help")
    options = [(*command, each) for each in re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", text, re.MULTILINE)]
    below = text.split("\nSubcommands:\n")[1].split("\n\n")[0] if "\nSubcommands:\n" in text else ""
    for name in re.findall(r"^  ([a-z-]+) ", below, re.MULTILINE):
        options += [(*command, name), *helped(*command, name)]
    return options


def plain(roff):
    for escape, text in {r"\-": "-", r"\fB": "", r"\fI": "", r"\fR": "", r"\(aq": "'", r"\(ti": "~", r"\e": "\\"}.items():
        roff = roff.replace(escape, text)
    return roff


def main():
    page = output(PROGRAM, "man")
    sections = plain(page).split('\n.SS "')
    names = [section.split(" [")[0].split()[1:] for section in sections[1:]]
    of_command = {tuple(name): section for name, section in zip([[], *names], sections)}
    missing = [" ".join(words) for words in helped()
               if words not in of_command and f"\n{words[-1]}" not in re.sub("-h,", "", of_command[words[:-1]])]
    if missing:
        sys.exit(f"not in the manual page: {', '.join(missing)}")
    print(f"{len(of_command) - 1} commands, all of their options")

    judges = {"man": ["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l", "-"],
              "mandoc": ["mandoc", "-T", "lint", "-W", "warning"]}
    for name, words in judges.items():
        if shutil.which(name) is None:
            continue
        judged = subprocess.run(words, input=page, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C.UTF-8"))
        said = judged.stderr.splitlines() if name == "man" else (judged.stdout + judged.stderr).splitlines()
        # The page has no date: it would change without its content.
        said = [line for line in said if not line.endswith('WARNING: missing date, using "": TH')]
        if said:
            sys.exit("\n".join([" ".join(words) + ":", *said]))
        print(name + ": nothing wrong")


if __name__ == "__main__":
    main()
