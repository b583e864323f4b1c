# SPDX-License-Identifier: Apache-2.0
"""All runs of an MLflow server as its own client tells them, as JSON."""
import hashlib
import json
import sys

import mlflow

client = mlflow.MlflowClient(sys.argv[1])


def files(run_id, folder=None):
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            yield from files(run_id, entry.path)
        else:
            content = open(client.download_artifacts(run_id, entry.path), "rb").read()
            yield entry.path, hashlib.sha256(content).hexdigest()


runs = []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id]):
        history = {key: [[point.step, point.value] for point in client.get_metric_history(run.info.run_id, key)]
                   for key in run.data.metrics}
        runs.append({"experiment": experiment.name, "name": run.info.run_name, "status": run.info.status,
                     "params": run.data.params, "tags": run.data.tags, "metrics": history,
                     "artifacts": dict(files(run.info.run_id))})
print(json.dumps(runs))
