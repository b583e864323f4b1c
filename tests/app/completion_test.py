#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""completion_test.py PROGRAM: what petnet completes in a real bash on a terminal, and in fish where it is installed; and
whether petnet takes the values that it offers."""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(sys.argv[1])
# Enough for a machine that has other work.
LIMIT = 60


def run(*words, text=None):
    return subprocess.run(words, input=text, capture_output=True, text=True, timeout=LIMIT)


def expect(actual, expected, what):
    assert actual == expected, f"{what}: {actual}, not {expected}"


class Bash:
    """An interactive bash on a terminal of its own, which has sourced petnet's completion."""

    def __init__(self, folder):
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            path = os.path.dirname(PROGRAM) + ":" + os.environ["PATH"]
            os.chdir(folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"],
                       {"PATH": path, "PS1": "$ ", "TERM": "dumb", "HOME": folder, "LC_ALL": "C.UTF-8"})
        self.shown = ""
        for line in ["bind 'set enable-bracketed-paste off'", "bind '\"\\C-t\": insert-completions'",
                     "bind 'set bell-style none'", "stty -echo", "source <(petnet completion bash)", "echo 'rea''dy'"]:
            os.write(self.terminal, line.encode() + b"\n")
        self._until("ready\r\n")

    def _until(self, text):
        end = time.monotonic() + LIMIT
        while text not in self.shown:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.terminal], [], [], left)[0], f"bash shows only {self.shown!r}"
            self.shown += os.read(self.terminal, 65536).decode()
        before, self.shown = self.shown.split(text, 1)
        return before

    def completions(self, line):
        """The words that the key for all completions puts in the place of the line's last one."""
        # The words of the completed line come back as bash understands them, a line each.
        os.write(self.terminal, line.encode() + b"\x14" + b"\x01printf '<%s>\\n' \x05 --end\n")
        words = re.findall(r"<(.*)>\r\n", self._until("<--end>\r\n"))
        before = line.split()[:None if line.endswith(" ") else -1]
        expect(words[:len(before)], before, line)
        unchanged = [] if line.endswith(" ") else [line.split()[-1]]
        return [] if words[len(before):] == unchanged else words[len(before):]

    def close(self):
        os.write(self.terminal, b"exit\n")
        os.waitpid(self.process, 0)
        os.close(self.terminal)


def check_bash(folder):
    shell = Bash(folder)
    for line, expected in [
            ("petnet ev", ["evaluate"]),
            ("petnet data ", ["fetch"]),
            ("petnet data fetch r", ["resnet34"]),
            ("petnet train --fre", ["--freeze-epochs"]),
            ("petnet train --epochs 3 --ep", []),  # once is enough
            ("petnet train --recipe ", ["augmented", "basic"]),
            ("petnet train --recipe=au", ["--recipe=augmented"]),
            ("petnet train --labels ", ["breed", "cat-dog", "folder"]),
            ("petnet train --precision b", ["bf16"]),
            ("petnet train --size ", []),
            ("petnet train --data my", ["my photographs"]),
            ("petnet train --data ./my", ["./my photographs"]),
            ("petnet train --config set", ["settings.toml"]),
            ("petnet train --weights e", ["embedded"]),
            ("petnet train --weights s", ["settings.toml"]),
            ("petnet predict --json se", ["settings.toml"]),
            ("petnet predict --tta --jso", ["--json"]),
            ("petnet export --naming ", ["fastai", "torchvision"]),
            ("petnet completion z", ["zsh"]),
            ("petnet __co", []),
    ]:
        expect([word.rstrip("/") for word in shell.completions(line)], expected, line)
    commands = shell.completions("petnet ")
    shell.close()
    listed = re.findall(r"^  ([a-z-]+) ", run(PROGRAM, "--help").stdout.split("\nSubcommands:\n")[1], re.MULTILINE)
    expect(commands, sorted(listed), "petnet")
    print(f"bash: {len(commands)} commands, and what they take")


def check_fish(folder):
    script = os.path.join(folder, "petnet.fish")
    with open(script, "w") as file:
        file.write(run(PROGRAM, "completion", "fish").stdout)
    for line, expected in [("petnet ev", "evaluate\thow well"), ("petnet train --recipe=a", "--recipe=augmented"),
                           ("petnet train --data my", "my photographs/")]:
        path = os.path.dirname(PROGRAM) + ":" + os.environ["PATH"]
        shown = subprocess.run(["fish", "-c", f"source {script}; complete -C '{line}'"], cwd=folder, capture_output=True,
                               text=True, timeout=LIMIT, env=dict(os.environ, PATH=path, HOME=folder)).stdout
        assert shown.startswith(expected) and shown.count("\n") == 1, f"fish: {line}: {shown!r}"
    print("fish: the same")


def check_values(folder):
    """What petnet would not know is a wrong usage, exit 2; here only a folder is missing, exit 3."""
    shell = Bash(folder)
    for command, option in [("train --data /no", "--recipe"), ("train --data /no", "--labels"),
                            ("train --data /no", "--precision"), ("train --data /no", "--resume"),
                            ("train --data /no", "--weights"), ("export --model /no --torch x", "--naming")]:
        values = shell.completions(f"petnet {command} {option} ")
        assert values, option
        for value in values:
            expect(run(PROGRAM, *command.split(), option, value).returncode, 3, f"{option} {value}")
    shell.close()
    print("values: known to petnet, each of them")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "my photographs"))
        open(os.path.join(folder, "settings.toml"), "w").close()
        check_bash(folder)
        check_values(folder)
        if shutil.which("fish"):
            check_fish(folder)


if __name__ == "__main__":
    main()
