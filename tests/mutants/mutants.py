#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tries the tests on mutants: copies of the sources with one small deliberate fault each, which some test must find.

The *.toml files beside this script list the mutants; CONTRIBUTING.md says how to add one. The sources are copied to
build/mutants/tree and changed and built there, so that the working tree stays as it is. Called by `./dev mutants`.
"""

import argparse
import fcntl
import fnmatch
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Stage:
    """A command of ./dev that judges mutants, by tests that ctest runs or by itself."""

    command: list[str]
    has_tests: bool


STAGES = {
    "test": Stage(["test"], True),
    "sanitizers": Stage(["asan"], True),
    "headers": Stage(["headers"], False),
    "fuzz": Stage(["fuzz", "30"], False),
}


class TableError(Exception):
    """The table of mutants, or what was asked of it, is wrong."""


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str  # below the root
    old: str  # the exact text that is replaced ...
    new: str  # ... by this one
    tests: str = ""  # regular expression of the names of the tests that should find it
    occurrence: int | None = None  # which `old` of several, from 1 on
    stage: str = "test"
    why: str = ""

    def applied_to(self, text: str) -> str:
        count = text.count(self.old)
        wanted = self.occurrence or 1
        if self.occurrence is None and count > 1:
            raise TableError(f"{self.name}: its text is {count} times in {self.file}: name the occurrence")
        if count < wanted:
            raise TableError(f"{self.name}: stale: its text is {count} times in {self.file}, not {wanted}")
        at = -1
        for _ in range(wanted):
            at = text.index(self.old, at + 1)
        return text[:at] + self.new + text[at + len(self.old) :]


def mutant_of(entry: dict, table: Path) -> Mutant:
    name = f"{table.name}: {entry.get('name', 'a mutant without a name')}"
    try:
        mutant = Mutant(**entry)
    except TypeError as error:
        raise TableError(f"{name}: {error}") from None
    if not re.fullmatch(r"[a-z0-9_]+", mutant.name):
        raise TableError(f"{name}: a name of lower-case letters, digits and _ was expected")
    if mutant.stage not in STAGES:
        raise TableError(f"{name}: unknown stage {mutant.stage}; expected one of {', '.join(STAGES)}")
    if not mutant.old or mutant.old == mutant.new:
        raise TableError(f"{name}: changes nothing")
    if mutant.occurrence is not None and mutant.occurrence < 1:
        raise TableError(f"{name}: occurrences are counted from 1 on")
    if STAGES[mutant.stage].has_tests != bool(mutant.tests):
        raise TableError(f"{name}: tests are named where its stage runs tests, and only there")
    try:
        re.compile(mutant.tests)
    except re.error as error:
        raise TableError(f"{name}: tests: {error}") from None
    return mutant


def read_mutants(folder: Path) -> list[Mutant]:
    mutants: list[Mutant] = []
    for table in sorted(folder.glob("*.toml")):
        try:
            entries = tomllib.loads(table.read_text())
        except tomllib.TOMLDecodeError as error:
            raise TableError(f"{table.name}: {error}") from None
        if set(entries) - {"mutant"}:
            raise TableError(f"{table.name}: only [[mutant]] entries were expected")
        mutants += [mutant_of(entry, table) for entry in entries.get("mutant", [])]
    names = [mutant.name for mutant in mutants]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TableError(f"there twice: {', '.join(sorted(twice))}")
    return mutants


def check(root: Path, mutants: list[Mutant], least: int) -> None:
    """Every mutant fits the sources as they are, and there are enough of them."""
    for mutant in mutants:
        path = root / mutant.file
        if not path.is_file():
            raise TableError(f"{mutant.name}: stale: {mutant.file} is not there")
        mutant.applied_to(path.read_text())
    if len(mutants) < least:
        raise TableError(f"{len(mutants)} mutants; at least {least} were expected")


def chosen(mutants: list[Mutant], patterns: list[str]) -> list[Mutant]:
    for pattern in patterns:
        if not fnmatch.filter([mutant.name for mutant in mutants], pattern):
            raise TableError(f"no mutant is named {pattern}")
    return [m for m in mutants if not patterns or any(fnmatch.fnmatch(m.name, p) for p in patterns)]


def copy_sources(root: Path, to: Path) -> None:
    """What git knows or does not ignore. A file whose content is the same keeps its time, and what is built of it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    names = {name for name in listed.split("\0") if name and (root / name).is_file()}
    for folder, folders, files in os.walk(to):
        if Path(folder) == to and "build" in folders:
            folders.remove("build")
        for file in files:
            if str((Path(folder) / file).relative_to(to)) not in names:
                (Path(folder) / file).unlink()
    for name in names:
        source, target = root / name, to / name
        content = source.read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        target.chmod(source.stat().st_mode)


@dataclass(frozen=True)
class Listed:
    """A test as ctest lists it, and the files of the build that it runs."""

    name: str
    programs: frozenset[str]


class Judge:
    """Builds and runs the tests of one stage in the copied tree."""

    def __init__(self, tree: Path, stage: Stage, jobs: int):
        self.tree, self.stage, self.jobs = tree, stage, jobs
        self.environment = dict(os.environ)
        self.environment.setdefault("OMP_WAIT_POLICY", "passive")  # as ./dev runs tests
        # So that a test of this script, which needs the sources unchanged, knows that they are not.
        self.environment["PETNET_MUTANTS"] = "tried"
        self.build = ""  # the folder
        self.targets: set[str] = set()  # files below it
        self.tests: list[Listed] = []
        self.failing: list[str] = []  # without a mutant
        self.skipped: list[str] = []
        self.output = ""

    def call(self, *command: str) -> bool:
        done = subprocess.run(
            command, cwd=self.tree, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        self.output = done.stdout
        return done.returncode == 0

    def dev(self, *arguments: str) -> bool:
        return self.call("./dev", *self.stage.command, *arguments)

    def ctest(self, regex: str, *arguments: str) -> bool:
        options = ["--test-dir", self.build, "-j", str(self.jobs), "--no-tests=error", "-R", regex]
        return self.call("ctest", *options, *arguments)

    def outcomes(self, *skipped: str) -> list[str]:
        """The tests that ctest's output says to have been skipped; or, without arguments, to have failed."""
        found = re.findall(r"^\s+\d+ - (\S+).*\(([A-Za-z ]+)\)\s*$", self.output, re.MULTILINE)
        passed_over = skipped or ("Skipped", "Disabled")
        return [name for name, outcome in found if (outcome in passed_over) == bool(skipped)]

    def failures(self) -> str:
        names = self.outcomes()
        if not names:
            return "the build" if self.stage.has_tests else "./dev " + " ".join(self.stage.command)
        return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")

    def prepare(self, mutants: list[Mutant]) -> None:
        """Builds everything without a mutant; the tests that are named for mutants must pass then."""
        if not self.stage.has_tests:
            if not self.dev():
                raise TableError(f"fails without a mutant: ./dev {' '.join(self.stage.command)}\n{self.output[-2000:]}")
            return
        if not self.dev("-N"):
            raise TableError(f"the build fails without a mutant:\n{self.output[-4000:]}")
        self.build = re.findall(r"^Test project (.+)$", self.output, re.MULTILINE)[-1]
        self.call("ninja", "-C", self.build, "-t", "targets", "all")
        self.targets = {line.rpartition(":")[0] for line in self.output.splitlines()}
        self.call("ctest", "--test-dir", self.build, "--show-only=json-v1")
        prefix = self.build + "/"
        for test in json.loads(self.output[self.output.index("{") :])["tests"]:
            words = {word.removeprefix(prefix) for word in test.get("command", []) if word.startswith(prefix)}
            self.tests.append(Listed(test["name"], frozenset(words & self.targets)))
        self.ctest("|".join(sorted({f"({mutant.tests})" for mutant in mutants})))
        self.failing, self.skipped = self.outcomes(), self.outcomes("Skipped", "Disabled")

    def matching(self, regex: str) -> list[Listed]:
        return [test for test in self.tests if re.search(regex, test.name)]

    def useless(self, mutant: Mutant) -> str:
        """Why the mutant's tests cannot judge it; empty where they can."""
        if not self.stage.has_tests:
            return ""
        names = [test.name.split()[0] for test in self.matching(mutant.tests)]
        failing = [name for name in names if name in self.failing]
        if failing:
            return f"as {failing[0]} fails without it"
        if not set(names) - set(self.skipped):
            return f"as {names[0]} is skipped here" if names else f"as no test is named {mutant.tests}"
        return ""

    def verdict(self, mutant: Mutant, named_only: bool) -> str:
        """The test that finds the mutant, which is applied already; empty where none does."""
        if not self.stage.has_tests:
            return "" if self.dev() else self.failures()
        tests = self.matching(mutant.tests)
        programs = sorted(set().union(*(test.programs for test in tests)))
        if not all(test.programs for test in tests):
            programs = ["all"]
        if not self.call("ninja", "-C", self.build, "-j", str(self.jobs), *programs):
            return "the build"
        if not self.ctest(mutant.tests, "--stop-on-failure"):
            return self.failures()
        if named_only or self.dev("--stop-on-failure"):
            return ""
        return self.failures() + ", which is not among its tests"

    def with_mutant(self, mutant: Mutant, named_only: bool) -> str:
        """Applies the mutant, judges it and puts everything back: what was not built meanwhile stays up to date."""
        path = self.tree / mutant.file
        original, times = path.read_text(), path.stat()
        try:
            path.write_text(mutant.applied_to(original))
            return self.verdict(mutant, named_only)
        finally:
            applied = path.stat().st_mtime_ns
            path.write_text(original)
            if self.build:
                built = [Path(self.build) / target for target in self.targets]
                for file in built:
                    if file.is_file() and file.stat().st_mtime_ns >= applied:
                        file.unlink()
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def try_mutants(root: Path, mutants: list[Mutant], jobs: int, named_only: bool) -> bool:
    began = time.monotonic()
    work = root / "build/mutants"
    work.mkdir(parents=True, exist_ok=True)
    lock = (work / ".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time
    tree = work / "tree"
    copy_sources(root, tree)
    width = max(len(mutant.name) for mutant in mutants)
    caught = 0
    for stage_name, stage in STAGES.items():
        # Mutants of one file follow each other: what is built of it is built anew for the next one anyway.
        of_stage = sorted((m for m in mutants if m.stage == stage_name), key=lambda m: m.file)
        if not of_stage:
            continue
        judge = Judge(tree, stage, jobs)
        started = time.monotonic()
        judge.prepare(of_stage)
        print(f"{stage_name}: built and tested without a mutant in {time.monotonic() - started:.0f} s", flush=True)
        for mutant in of_stage:
            started = time.monotonic()
            found, useless = "", judge.useless(mutant)
            if not useless:
                found = judge.with_mutant(mutant, named_only)
                (work / f"{mutant.name}.log").write_text(judge.output)
            seconds = f"({time.monotonic() - started:.0f} s)"
            if found:
                caught += 1
                print(f"caught      {mutant.name:{width}}  by {found} {seconds}", flush=True)
            else:
                by_none = f"by none of {mutant.tests}" if named_only else "by any test"
                print(f"NOT CAUGHT  {mutant.name:{width}}  {useless or by_none} {seconds}", flush=True)
    print(f"{caught} of {len(mutants)} mutants caught, after {(time.monotonic() - began) / 60:.0f} min")
    return caught == len(mutants)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev mutants", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants; * and ? as in a shell")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    parser.add_argument("--check", action="store_true", help="only check that each fits the sources")
    parser.add_argument("--least", type=int, default=0, metavar="N", help="with --check: at least so many")
    parser.add_argument("--named-only", action="store_true", help="run no tests but those that a mutant names")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes at once")
    parser.add_argument("--root", type=Path, default=FOLDER.parents[1], help=argparse.SUPPRESS)
    options = parser.parse_args()
    root = options.root.resolve()
    if options.check and "PETNET_MUTANTS" in os.environ:
        print("SKIP: a mutant is being tried, which changes the sources")
        return 77
    try:
        mutants = read_mutants(root / "tests/mutants")
        check(root, mutants, options.least)
        mutants = chosen(mutants, options.names)
        if options.list:
            for mutant in mutants:
                print(f"{mutant.name}: {mutant.file}: {mutant.why or mutant.tests or './dev ' + mutant.stage}")
            return 0
        if options.check:
            return 0
        return 0 if try_mutants(root, mutants, options.jobs, options.named_only) else 1
    except TableError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mutants: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
