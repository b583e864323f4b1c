#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""petnet's tracking against the real packages, installed by pip: an MLflow server and its client, TensorBoard's
reader, and azureml-mlflow, whose requests petnet's are compared with.

  PETNET_LONG=1 peers_test.py PROGRAM    PETNET_PEERS_DIR keeps the virtual environments for the next time (1.3 GB)
Ends with 77 where it is not asked for, or where pip reaches no package index."""
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import azure_fake

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "support"))
import peer_packages  # noqa: E402 (the folder is named above)

MLFLOW = ["mlflow==3.17.2", "tensorboard==2.21.0"]
# What azureml-mlflow 1.62 works with: it speaks MLflow 2, which fails with a newer protobuf or SQLAlchemy.
AZURE = ["mlflow-skinny==2.22.5", "protobuf<7", "sqlalchemy<2.1", "azureml-mlflow==1.62.0.post6"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(python, folder, port):
    os.makedirs(os.path.join(folder, "artifacts"))
    server = subprocess.Popen(
        [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--serve-artifacts",
         "--artifacts-destination", f"file://{folder}/artifacts", "--default-artifact-root", "mlflow-artifacts:/"],
        env=dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", PATH=os.path.dirname(python) + ":" + os.environ["PATH"]),
        stdout=open(os.path.join(folder, "server.log"), "w"), stderr=subprocess.STDOUT, start_new_session=True)
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            return server
        except OSError:
            time.sleep(0.5)
    os.killpg(server.pid, signal.SIGKILL)
    sys.exit("the mlflow server does not start:\n" + open(os.path.join(folder, "server.log")).read())


def petnet(program, folder, variables, interrupt_after=None):
    words = [program, "train", "--size", "32", "--batch-size", "32", "--epochs", "3"]
    env = dict(os.environ, no_proxy="127.0.0.1", **variables)
    run = subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if interrupt_after is not None:
        metrics = os.path.join(folder, "outputs", "metrics.jsonl")
        while not os.path.exists(metrics) or len(open(metrics).readlines()) < interrupt_after:
            time.sleep(0.002)
        run.send_signal(signal.SIGTERM)
    output = run.communicate(timeout=600)[0]
    expected = 0 if interrupt_after is None else 143
    assert run.returncode == expected, (run.returncode, output)
    assert "Warning" not in output, output


def read_back(python, script, *words):
    answer = subprocess.run([python, os.path.join(HERE, script), *words], capture_output=True, text=True,
                            env=dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", no_proxy="127.0.0.1"))
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def epochs_of(folder):
    lines = [json.loads(line) for line in open(os.path.join(folder, "outputs", "metrics.jsonl"))]
    return [line for line in lines if "step" not in line], [line for line in lines if "step" in line]


def check_mlflow(program, python, folder):
    port = free_port()
    server = start_server(python, folder, port)
    try:
        petnet(program, folder, {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
                                 "MLFLOW_EXPERIMENT_NAME": "cats & dogs/1", "MLFLOW_RUN_NAME": "native"}, 12)
        petnet(program, folder, {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
                                 "MLFLOW_EXPERIMENT_NAME": "cats & dogs/1"})
        runs = read_back(python, "read_mlflow.py", f"http://127.0.0.1:{port}")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)
    assert len(runs) == 1, runs
    run = runs[0]
    assert (run["experiment"], run["name"], run["status"]) == ("cats & dogs/1", "native", "FINISHED"), run
    epochs, _ = epochs_of(folder)
    for name in ("train_loss", "valid_loss", "error_rate"):
        assert run["metrics"][name] == [[e["epoch"], e[name]] for e in epochs], (name, run["metrics"][name])
    assert [value for _, value in run["metrics"]["epoch"]] == [0, 0, 1, 2], run["metrics"]["epoch"]
    assert run["params"]["lr_max"] == "[1.e-05 1.e-04 1.e-03]" and run["params"]["epochs"] == "3", run["params"]
    assert run["tags"]["mlflow.source.name"] == "petnet", run["tags"]
    for name, file in (("model/model.safetensors", "model.safetensors"), ("run.json", "run.json"),
                       ("metrics.jsonl", "metrics.jsonl"), ("valid.txt", "valid.txt")):
        assert run["artifacts"][name] == azure_fake.sha256(os.path.join(folder, "outputs", file)), name
    assert {"freeze_lr.svg", "freeze_mom.svg", "lr.svg", "mom.svg"} <= set(run["artifacts"]), run["artifacts"]
    print(f"mlflow: {len(run['params'])} parameters, {len(run['metrics'])} metrics, {len(run['artifacts'])} files "
          "of a run that was interrupted once")


def check_tensorboard(python, folder):
    charts = read_back(python, "read_tensorboard.py", os.path.join(folder, "logs", "outputs"))
    epochs, steps = epochs_of(folder)
    assert len(glob.glob(os.path.join(folder, "logs", "outputs", "*"))) == 2, "a file for each process"
    assert [step for step, _ in charts["loss"]] == [line["step"] for line in steps], charts["loss"]
    for (_, shown), line in zip(charts["loss"], steps):
        assert abs(shown - line["loss"]) <= 1e-6 * abs(line["loss"]), (shown, line)
    assert len(charts["error_rate"]) == len(epochs), charts["error_rate"]
    for (_, shown), line in zip(charts["error_rate"], epochs):
        assert abs(shown - line["error_rate"]) <= 1e-6, (shown, line)
    assert "| base_lr | 0.002 |" in charts["parameters"], charts["parameters"]
    print(f"tensorboard: {len(charts['loss'])} steps and {len(charts['error_rate'])} epochs, each once")


def check_azure(program, python, folder):
    theirs = azure_fake.requests_of_azureml_mlflow(python, folder)
    with azure_fake.service(folder) as fake:
        petnet(program, folder, {"MLFLOW_TRACKING_URI": fake.uri, "MLFLOW_TRACKING_TOKEN": azure_fake.token(60),
                                 "MLFLOW_RUN_ID": "RID", "MLFLOW_EXPERIMENT_ID": "EID",
                                 "CURL_CA_BUNDLE": fake.certificate})
        ours = fake.requests
    for what in ("token", "get", "place", "blob"):
        assert theirs[what], f"azureml-mlflow sent no such request: {what}"
        assert ours[what] == theirs[what], f"{what}\nazureml-mlflow {theirs[what]}\npetnet         {ours[what]}"
    assert ours["log"] and all(path.endswith("/runs/log-batch") for path in ours["log"]), ours["log"]
    assert {path.rsplit("/", 1)[0] for path in ours["log"]} == {path.rsplit("/", 1)[0] for path in theirs["log"]}
    assert not ours["other"], ours["other"]
    print("azureml-mlflow: the same requests for tokens, the run, the places of files and the files")


def main():
    peer_packages.require_long_run()
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        python = os.path.join(peer_packages.environment("mlflow", MLFLOW), "python")
        for name in ("plain", "azure"):
            os.makedirs(os.path.join(scratch, name))
        check_mlflow(program, python, os.path.join(scratch, "plain"))
        check_tensorboard(python, os.path.join(scratch, "plain"))
        python = os.path.join(peer_packages.environment("azureml-mlflow", AZURE), "python")
        check_azure(program, python, os.path.join(scratch, "azure"))


if __name__ == "__main__":
    main()
