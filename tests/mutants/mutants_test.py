#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutants.py judges a project of three lines, which CMake, ninja and ctest build and test as they do petnet."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "mutants.py"

CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(tiny LANGUAGES NONE)
enable_testing()
add_custom_command(OUTPUT program DEPENDS ${CMAKE_SOURCE_DIR}/source.txt
  COMMAND grep -q compiles ${CMAKE_SOURCE_DIR}/source.txt
  COMMAND cp ${CMAKE_SOURCE_DIR}/source.txt program)
add_custom_target(all_programs ALL DEPENDS program)
foreach(word first second)
  add_test(NAME tiny.${word} COMMAND grep -q ${word} ${CMAKE_BINARY_DIR}/program)
endforeach()
add_test(NAME tiny.broken COMMAND false)
add_test(NAME tiny.skipped COMMAND sh -c "exit 77")
set_tests_properties(tiny.skipped PROPERTIES SKIP_RETURN_CODE 77)
"""

DEV = """#!/bin/sh
set -e
cd "$(dirname "$0")"
stage=$1
shift
case $stage in
  test)
    cmake -G Ninja -S . -B build/release
    cmake --build build/release
    # In this project one test always fails, and belongs to no stage.
    exec ctest --test-dir build/release --exclude-regex broken "$@" ;;
  headers) exec grep -q alone source.txt ;;
esac
"""

SOURCE = "compiles first second alone unseen\n"


def mutant(name: str, word: str, tests: str = r"tiny\.first", more: str = "") -> str:
    named = f"tests = '{tests}'" if tests else ""
    return f'[[mutant]]\nname = "{name}"\nfile = "source.txt"\nold = "{word}"\nnew = "x"\n{named}\n{more}\n'


class Mutants(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name).resolve()
        subprocess.run(["git", "init", "--quiet", self.root], check=True)
        (self.root / "tests/mutants").mkdir(parents=True)
        files = {"CMakeLists.txt": CMAKE, "dev": DEV, "source.txt": SOURCE, ".gitignore": "/build/\n"}
        for name, content in files.items():
            (self.root / name).write_text(content)
        (self.root / "dev").chmod(0o755)

    def tearDown(self) -> None:
        self.folder.cleanup()

    def run_script(self, table: str, *options: str, tried: bool = False) -> tuple[int, str]:
        (self.root / "tests/mutants/table.toml").write_text(table)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PETNET_")}
        if tried:
            environment["PETNET_MUTANTS"] = "tried"
        command = [sys.executable, SCRIPT, "--root", self.root, *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def expect_refusal(self, table: str, words: str, *options: str) -> None:
        status, output = self.run_script(table, "--check", *options)
        self.assertEqual(status, 1, output)
        self.assertIn(words, output)

    def test_mutants_that_are_caught(self) -> None:
        table = (
            mutant("of_the_first", "first")
            + mutant("of_another_test", "second")
            + mutant("of_the_build", "compiles")
            + mutant("of_a_header", "alone", tests="", more='stage = "headers"')
        )
        status, output = self.run_script(table)
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"caught      of_the_first +by tiny\.first \(")
        self.assertRegex(output, r"caught      of_another_test +by tiny\.second, which is not among its tests \(")
        self.assertRegex(output, r"caught      of_the_build +by the build \(")
        self.assertRegex(output, r"caught      of_a_header +by \./dev headers \(")
        self.assertIn("4 of 4 mutants caught", output)
        self.assertEqual((self.root / "source.txt").read_text(), SOURCE)
        self.assertEqual((self.root / "build/mutants/tree/source.txt").read_text(), SOURCE)

    def test_mutants_that_are_not_caught(self) -> None:
        table = (
            mutant("of_the_first", "first")
            + mutant("of_no_test", "unseen")
            + mutant("of_a_test_that_fails_anyway", "second", tests=r"tiny\.broken")
            + mutant("of_a_test_that_is_skipped", "alone", tests=r"tiny\.skipped")
            + mutant("of_a_test_that_is_not_there", "s", tests="gone", more="occurrence = 2")
        )
        status, output = self.run_script(table)
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r"caught      of_the_first +by tiny\.first \(")
        self.assertRegex(output, r"NOT CAUGHT  of_no_test +by any test \(")
        self.assertRegex(output, r"NOT CAUGHT  of_a_test_that_fails_anyway +as tiny\.broken fails without it \(")
        self.assertRegex(output, r"NOT CAUGHT  of_a_test_that_is_skipped +as tiny\.skipped is skipped here \(")
        self.assertRegex(output, r"NOT CAUGHT  of_a_test_that_is_not_there +as no test is named gone \(")
        self.assertIn("1 of 5 mutants caught", output)

    def test_some_of_them_and_their_own_tests_alone(self) -> None:
        table = mutant("one", "second") + mutant("two", "first")
        status, output = self.run_script(table, "--named-only", "o*")
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r"NOT CAUGHT  one +by none of tiny\\\.first \(")
        self.assertIn("0 of 1 mutants caught", output)

    def test_a_file_that_changed_is_copied_again(self) -> None:
        self.assertEqual(self.run_script(mutant("one", "first"))[0], 0)
        (self.root / "source.txt").write_text("compiles second first\n")
        (self.root / "left.txt").write_text("")
        status, output = self.run_script(mutant("one", "first"))
        self.assertEqual(status, 0, output)
        self.assertEqual((self.root / "build/mutants/tree/source.txt").read_text(), "compiles second first\n")
        self.assertTrue((self.root / "build/mutants/tree/left.txt").is_file())
        (self.root / "left.txt").unlink()
        self.run_script(mutant("one", "first"))
        self.assertFalse((self.root / "build/mutants/tree/left.txt").exists())

    def test_what_does_not_fit_is_refused(self) -> None:
        good = mutant("good", "first")
        self.assertEqual(self.run_script(good, "--check", "--least", "1")[0], 0)
        self.expect_refusal(good, "at least 2", "--least", "2")
        self.expect_refusal(mutant("stale", "gone"), "stale: its text is 0 times")
        self.expect_refusal(mutant("two_places", "s"), "name the occurrence")
        self.expect_refusal(mutant("beyond", "first", more="occurrence = 2"), "is 1 times")
        self.expect_refusal(good + good, "there twice: good")
        self.expect_refusal(good.replace("source.txt", "no.txt"), "no.txt is not there")
        self.expect_refusal(mutant("same", "x"), "changes nothing")
        self.expect_refusal(mutant("Wrong name", "first"), "lower-case")
        self.expect_refusal(mutant("stage", "first", more='stage = "none"'), "unknown stage none")
        self.expect_refusal(mutant("untested", "first", tests=""), "tests are named")
        self.expect_refusal(mutant("tested", "first", more='stage = "headers"'), "tests are named")
        self.expect_refusal(mutant("pattern", "first", tests="("), "tests:")
        self.expect_refusal(good + "wrong = 1\n", "unexpected keyword argument 'wrong'")
        self.expect_refusal("[[mutants]]\n", "only [[mutant]] entries")
        self.expect_refusal("[[mutant]", "table.toml")
        status, output = self.run_script(good, "other")
        self.assertEqual(status, 1)
        self.assertIn("no mutant is named other", output)
        self.assertEqual(self.run_script(mutant("stale", "gone"), "--check", tried=True)[0], 77)


if __name__ == "__main__":
    unittest.main()
