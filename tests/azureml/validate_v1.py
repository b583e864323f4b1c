# SPDX-License-Identifier: Apache-2.0
"""validate_v1.py PAGE: runs the Python snippets of a page, in their order, with the real azureml-core. Only what would
ask the service is replaced: the workspace, finding and making a cluster, sending a job. What would be sent is made by
the package, and looked at."""
import json
import os
import re
import sys

import azureml.core
import azureml.core.compute
from azureml._execution._commands import _serialize_run_config_to_dict
from azureml._project.ignore_file import get_project_ignore_file
from azureml.core.compute_target import ComputeTargetException
from azureml.core.script_run_config import get_run_config_from_script_run

made = {}


class Cluster:
    def __new__(cls, workspace, name):
        raise ComputeTargetException(f"no cluster {name}")

    @staticmethod
    def create(workspace, name, settings):
        settings.validate_configuration()
        made["cluster"] = (name, settings)
        return Answer()


class Answer:
    def wait_for_completion(self, show_output):
        assert show_output

    def get_metrics(self):
        return {"error_rate": [0.1], "valid_loss": [0.2]}

    def register_model(self, model_name, model_path):
        assert model_path.startswith("outputs/"), model_path
        made["model"] = model_name


class Experiment:
    def __init__(self, workspace, name):
        assert name

    def submit(self, job):
        body = _serialize_run_config_to_dict(get_run_config_from_script_run(job))
        made["job"] = json.loads(json.dumps(body))
        ignored = get_project_ignore_file(job.source_directory)
        made["uploads"] = [name for name in ("petnet.toml", "notes.txt", "photographs/cat.jpg")
                           if not ignored.is_file_excluded(os.path.join(job.source_directory, name))]
        return Answer()


with open(sys.argv[1]) as page:
    snippets = re.findall(r"^```python\n(.*?)^```", page.read(), re.MULTILINE | re.DOTALL)
assert len(snippets) >= 8, "the page has lost its snippets"

os.environ.update(REGISTRY_USER="somebody", REGISTRY_PASSWORD="secret")
azureml.core.Workspace.from_config = staticmethod(lambda: object())
azureml.core.compute.ComputeTarget = Cluster
azureml.core.Experiment = Experiment
names = {}
for snippet in snippets:
    exec(compile(snippet, sys.argv[1], "exec"), names)

docker = made["job"]["environment"]["docker"]
assert docker["baseImage"].endswith("/petnet:cuda"), docker
assert docker["baseImageRegistry"]["username"] == "somebody", docker
assert made["job"]["environment"]["python"]["userManagedDependencies"] is True, made["job"]["environment"]["python"]
assert made["job"]["command"][:2] == ["petnet", "train"], made["job"]["command"]
assert made["job"]["script"] is None and made["job"]["docker"]["useDocker"] is True, made["job"]
assert made["job"]["target"] == made["cluster"][0], made
assert made["cluster"][1].vm_size == "Standard_NC4as_T4_v3", made["cluster"][1].vm_size
assert names["derived"].docker.base_image is None and "FROM " in names["derived"].docker.base_dockerfile
assert made["uploads"] == ["petnet.toml"], made["uploads"]
assert made["model"] == "pets-resnet34", made
print(f"v1: {len(snippets)} snippets")
