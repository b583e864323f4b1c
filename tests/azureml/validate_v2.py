# SPDX-License-Identifier: Apache-2.0
"""validate_v2.py FOLDER: its files for `az ml`, read and checked as the command line does before it asks the service.

It finds unknown, missing and mistyped keys, undeclared ${{inputs.x}} and local paths that do not exist; it cannot know
whether there is such a size of machine, image or place in a datastore."""
import glob
import os
import shutil
import sys
import tempfile

import azure.ai.ml as ml
import yaml
from azure.ai.ml._utils._asset_utils import get_ignore_file, traverse_directory

LOAD = {"amlCompute": ml.load_compute, "commandJob": ml.load_job, "data": ml.load_data,
        "environment": ml.load_environment, "managedOnlineDeployment": ml.load_online_deployment,
        "managedOnlineEndpoint": ml.load_online_endpoint, "model": ml.load_model,
        "workspaceConnection": ml.load_workspace_connection}

# File, what it says, what would be wrong.
MISTAKES = [
    ("job.yml", "inputs.epochs", "inputs.epoch"),
    ("job.yml", "code: source", "code: sources"),
    ("job.yml", "compute: azureml:gpu-t4", ""),
    ("job-low-priority.yml", "mode: download", "mode: copied"),
    ("job-four-nodes.yml", "type: pytorch", "type: torchrun"),
    ("job-four-nodes.yml", "instance_count", "machines"),
    ("compute-t4.yml", "min_instances", "minimum_instances"),
    ("compute-t4-low-priority.yml", "low_priority", "cheap"),
    ("environment.yml", "image: ", "picture: "),
    ("connection-password.yml", "username_password", "password"),
    ("model.yml", "custom_model", "own_model"),
    ("endpoint.yml", "auth_mode: key", "auth_mode: keys"),
    ("deployment.yml", "scoring_route", "score_route"),
    ("deployment.yml", "max_concurrent_requests_per_instance: 64", "max_concurrent_requests_per_instance: many"),
    ("deployment.yml", "failure_threshold", "failures"),
]


def check(path):
    with open(path) as file:
        kind = yaml.safe_load(file)["$schema"].rsplit("/", 1)[1].split(".")[0]
    entity = LOAD[kind](path)
    if kind == "commandJob":
        assert entity.compute, path + ": no compute, which azure-ai-ml would accept"
        result = entity._validate()
        assert result.passed, (path, result.error_messages)
        entity._to_job()._validate()
    elif kind == "environment":
        entity.validate()
        entity._to_rest_object()
    elif kind == "managedOnlineDeployment":
        entity._validate()
        routes = entity.environment.inference_config
        for name in ("livenessRoute", "readinessRoute", "scoringRoute"):
            # azure-ai-ml takes any words here; an image of one's own needs all three.
            assert set(routes[name]) == {"path", "port"}, (path, name)
    elif kind == "managedOnlineEndpoint":
        entity._to_rest_online_endpoint("a place")
    else:
        entity._to_rest_object()
    return kind


def check_the_check(folder):
    """These mistakes are found, so that finding none says something."""
    for name, right, wrong in MISTAKES:
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(folder, os.path.join(scratch, "azureml"))
            path = os.path.join(scratch, "azureml", name)
            with open(path) as file:
                text = file.read()
            assert right in text, (name, right)
            with open(path, "w") as file:
                file.write(text.replace(right, wrong))
            try:
                check(path)
            except Exception:  # of whatever type the package has for it
                continue
            sys.exit(f"{name}: {wrong!r} passes for {right!r}")


def check_upload(folder):
    """What lies about in a job's code folder is not uploaded with it."""
    with tempfile.TemporaryDirectory() as scratch:
        source = os.path.join(scratch, "source")
        shutil.copytree(os.path.join(folder, "source"), source)
        os.makedirs(os.path.join(source, "photographs"))
        for stray in ("photographs/cat.jpg", "notes.txt"):
            open(os.path.join(source, stray), "w").close()
        ignored = get_ignore_file(source)
        uploaded = [name for place, _, files in os.walk(source)
                    for _, name in traverse_directory(place, files, prefix="", ignore_file=ignored)]
    assert uploaded == ["petnet.toml"], uploaded


folder = sys.argv[1]
paths = sorted(glob.glob(os.path.join(folder, "*.yml")))
assert paths, "no files in " + folder
for path in paths:
    print(os.path.basename(path) + ": " + check(path))
check_the_check(folder)
check_upload(folder)
print(f"v2: {len(paths)} files; {len(MISTAKES)} mistakes are refused")
