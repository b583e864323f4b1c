#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tutorial_test.py PROGRAM: the commands of docs/tutorial.md do what it says, in the order of the page, and petnet takes
the settings files in docs/examples.

Blocks of ```sh are run by one bash, with the smaller numbers below and a port that is free. The long run of the tests
runs the page as it stands, from a clone that it builds, and its Python, with packages that pip installs."""
import os
import re
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
import peer_packages  # noqa: E402 (the folder is named above)

PROGRAM = os.path.abspath(sys.argv[1])
WHOLE = peer_packages.is_long_run()
SMALLER = {"--size 128": "--size 32", "size = 128": "size = 32", "--epochs 5": "--epochs 0", "epochs = 5": "epochs = 0"}
# What must be there at the end, and how it begins.
WRITTEN = {"outputs/model.safetensors": b"", "outputs/report.html": b"<!doctype html>", "outputs/valid.txt": b"",
           "answers.jsonl": b'{"file":"', "evaluation.html": b"<!doctype html>", "my-model/model.safetensors": b"",
           "my-second-model/model.safetensors": b"", "pets.onnx": b"", "petnet.1": b".TH PETNET 1"}


def blocks(language):
    """The fenced blocks of the page; "sh build" are those that make the program."""
    with open(os.path.join(ROOT, "docs", "tutorial.md")) as file:
        return re.findall(rf"^```{language}\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


def in_bash(script, folder):
    environment = dict(os.environ, HOME=folder)
    if not WHOLE:
        environment["PATH"] = os.path.dirname(PROGRAM) + ":" + environment["PATH"]
    result = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True,
                            text=True, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        sys.exit(f"{script}\nexit {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


def run_tutorial(folder):
    script = "".join(blocks("sh"))
    assert script.count("petnet ") > 10 and blocks("sh build"), "blocks of ```sh are missing"
    if WHOLE:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        script = "".join(blocks("sh build")) + script
    else:
        for name in ["data", "docs"]:
            os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
        with socket.create_server(("127.0.0.1", 0)) as free:
            SMALLER["8000"] = str(free.getsockname()[1])
        for number, smaller in SMALLER.items():
            assert number in script, number
            script = script.replace(number, smaller)
    shown = in_bash(script, folder)
    for part in ["epoch  train_loss", "error_rate  ", "pug_112.jpg: ", '{"predictions":[{', "pets.onnx"]:
        assert part in shown, f"{part} is not in\n{shown}"
    for name, beginning in WRITTEN.items():
        with open(os.path.join(folder, name), "rb") as file:
            assert file.read(len(beginning) or 1).startswith(beginning), name
    print(f"the tutorial{'' if WHOLE else ', with smaller numbers'}: {script.count('petnet ')} commands")


def run_python(folder):
    [script] = blocks("python")
    compile(script, "tutorial.md", "exec")
    if not WHOLE:
        return
    programs = peer_packages.environment("onnxruntime", ["onnxruntime", "pillow"])
    answer = subprocess.run([os.path.join(programs, "python"), "-c", script], cwd=folder, check=True, capture_output=True,
                            text=True).stdout.strip()
    expected = subprocess.run([PROGRAM, "predict", "data/sample/images/pug_112.jpg"], cwd=folder, check=True,
                              capture_output=True, text=True).stdout
    assert f": {answer} 0." in expected or f": {answer} 1." in expected, (answer, expected)
    print("its Python: the same answer, " + answer)


def take_examples():
    """Only the folder is missing: exit 3, where a setting that petnet does not know would be 2."""
    folder = os.path.join(ROOT, "docs", "examples")
    names = sorted(os.listdir(folder))
    assert names, "no examples"
    for name in names:
        result = subprocess.run([PROGRAM, "train", "--config", os.path.join(folder, name), "--data", "/no/such/folder"],
                                capture_output=True, text=True)
        assert result.returncode == 3 and "/no/such/folder" in result.stderr, f"{name}: {result.returncode}: {result.stderr}"
        print("docs/examples/" + name + ": taken")


with tempfile.TemporaryDirectory() as work:
    take_examples()
    run_tutorial(work)
    run_python(work)
