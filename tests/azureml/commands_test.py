#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""commands_test.py PROGRAM: petnet takes the commands of the jobs in azureml/ and of azureml/v1, with their settings
file, and the settings of the deployment. They are run on a folder that does not exist: exit 3, where a wrong option would
be 2. And the image has the sources it is built from."""
import ast
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AZUREML = os.path.join(ROOT, "azureml")


def commands_of_job(path):
    with open(path) as file:
        text = file.read()
    inputs = dict(re.findall(r"^  (\w+): ([\d.]+)$", text, re.MULTILINE))
    folded = re.search(r"^command: >-\n((?:  .*\n)+)", text, re.MULTILINE).group(1)
    return re.sub(r"\$\{\{inputs\.(\w+)\}\}", lambda found: inputs.get(found.group(1), "FOLDER"), folded).split()[1:]


def command_of_page(path):
    with open(path) as file:
        return [str(word) for word in ast.literal_eval(re.search(r"command=(\[.*?\])", file.read()).group(1))]


jobs = sorted(glob.glob(os.path.join(AZUREML, "job*.yml")))
assert jobs, "no jobs in " + AZUREML
commands = {path: commands_of_job(path) for path in jobs}
page = os.path.join(AZUREML, "v1", "README.md")
commands[page] = command_of_page(page)
for path, command in commands.items():
    assert command[:2] == ["petnet", "train"], (path, command)
    command[command.index("--data") + 1] = "/no/such/folder"
    result = subprocess.run([sys.argv[1], *command[1:]], cwd=os.path.join(AZUREML, "source"), capture_output=True, text=True)
    if result.returncode != 3 or "/no/such/folder" not in result.stderr:
        sys.exit(f"{path}: {' '.join(command)}: exit {result.returncode}: {result.stderr}")
    print(os.path.relpath(path, ROOT) + ": " + " ".join(command[1:]))

# The deployment's settings reach `petnet serve` by the environment: a wrong value would be exit 2.
with open(os.path.join(AZUREML, "deployment.yml")) as file:
    settings = dict(re.findall(r'^  (PETNET_\w+): "?(.*?)"?$', file.read(), re.MULTILINE))
options = subprocess.run([sys.argv[1], "serve", "--help"], capture_output=True, text=True).stdout
for name in settings:
    assert name in options, (name, "is no option of petnet serve")
result = subprocess.run([sys.argv[1], "serve"], capture_output=True, text=True,
                        env=dict(os.environ, AZUREML_MODEL_DIR="/no/such/folder", **settings))
if result.returncode != 3 or "/no/such/folder" not in result.stderr:
    sys.exit(f"deployment.yml: exit {result.returncode}: {result.stderr}")
print("azureml/deployment.yml: " + ", ".join(settings))

# What .dockerignore does not let in is missing in the image's build, which only a machine with an engine would see.
with open(os.path.join(ROOT, "CMakeLists.txt")) as file:
    folders = re.findall(r"^add_subdirectory\((\w+)\)$", file.read(), re.MULTILINE) # without the tests
with open(os.path.join(ROOT, ".dockerignore")) as file:
    let_in = file.read().split()
assert folders, "no folders in CMakeLists.txt"
for folder in folders:
    assert f"!{folder}/" in let_in, f".dockerignore keeps {folder}/ out of the image's build"
print(".dockerignore: lets in " + ", ".join(folders))
