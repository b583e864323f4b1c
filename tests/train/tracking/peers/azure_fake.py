# SPDX-License-Identifier: Apache-2.0
"""What Azure ML's services answer, as far as logging goes, and what azureml-mlflow asks them."""
import base64
import hashlib
import http.server
import json
import os
import re
import ssl
import subprocess
import threading
import time

WORKSPACE = "/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W"


def sha256(file):
    return hashlib.sha256(open(file, "rb").read()).hexdigest()


def token(seconds):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return part({"alg": "none", "typ": "JWT"}) + "." + part({"exp": int(time.time()) + seconds}) + "."


class service:
    """The service on this machine, by https, or by http for a client that was told to; `requests` are those that
    it got, by kind, each kind without repetitions and without what differs from file to file."""

    def __init__(self, folder, secure=True):
        self.requests = {kind: set() for kind in ("token", "get", "log", "place", "blob", "other")}
        fake = self

        class handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                fake.answer(self)
            do_GET = do_POST = do_PUT = do_PATCH = answer

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.url = ("https://" if secure else "http://") + self.address
        self.uri = f"azureml://{self.address}/mlflow/v1.0{WORKSPACE}?"
        if secure:
            self.certificate = os.path.join(folder, "certificate.pem")
            key = os.path.join(folder, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
                           check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *problem):
        self.server.shutdown()

    def answer(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0) or 0))
        path = request.path.split("?")[0]
        bearer = request.headers.get("Authorization", "").startswith("Bearer ")
        reply, status = {}, 200
        if path.endswith("/token"):
            self.requests["token"].add((request.command, path, bearer))
            reply = {"token": token(7200), "expiryTimeUtc": "2099-01-01T00:00:00Z"}
        elif path.endswith("/runs/get"):
            self.requests["get"].add((request.command, path, bearer))
            place = f"azureml://{self.address}/mlflow/v2.0{WORKSPACE}/experiments/EXPNAME/runs/RID/artifacts"
            reply = {"run": {"info": {"run_id": "RID", "run_uuid": "RID", "experiment_id": "EID", "status": "RUNNING",
                                      "start_time": 1, "lifecycle_stage": "active", "artifact_uri": place}, "data": {}}}
        elif path.endswith("/artifacts/batch/metadata"):
            asked = json.loads(body)
            form = json.dumps([sorted(asked), sorted({key for each in asked["paths"] for key in each})])
            self.requests["place"].add((request.command, path, bearer, form))
            reply = {"artifactContentInformation":
                     {each["path"]: {"contentUri": f"{self.url}/blobs/{each['path']}?sig=1", "path": each["path"]}
                      for each in asked["paths"]}, "errors": {}}
        elif path.startswith("/blobs/"):
            names = ("x-ms-blob-type", "If-None-Match", "Content-Type")
            kind = re.sub(r"blockid=[^&]*", "blockid", request.path.split("?sig=1")[1])
            if not kind:  # not a large file's blocks: azureml-mlflow has none to send here
                self.requests["blob"].add((request.command, bearer, *(request.headers.get(name) for name in names)))
            status = 201
        elif re.search(r"/runs/log-(batch|parameter|metric)$", path):
            self.requests["log"].add(path)
        else:
            self.requests["other"].add((request.command, path))
        reply = json.dumps(reply).encode()
        request.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(reply))), ("ETag", '"1"'),
                            ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")):
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(reply)


# azureml-mlflow speaks https alone; for this once it is told otherwise, in its own process.
CLIENT = '''
import inspect, sys
import azureml.mlflow._internal.utils as utils
name = "get_service_context_from_tracking_url_mlflow_env_vars"
exec(inspect.getsource(getattr(utils, name)).replace('"https://{0}"', '"http://{0}"'), utils.__dict__)
import azureml.mlflow._internal.service_context_loader as loader
setattr(loader, name, getattr(utils, name))
import azure.core.pipeline.policies._authentication as authentication
authentication._enforce_https = lambda *words, **more: None
authentication._BearerTokenCredentialPolicyBase._enforce_https = staticmethod(lambda *words, **more: None)
import mlflow
with mlflow.start_run():
    mlflow.log_param("epochs", 4)
    mlflow.log_metric("train_loss", .5, step=0)
    mlflow.log_artifact(sys.argv[1], "model")
'''


def requests_of_azureml_mlflow(python, folder):
    note = os.path.join(folder, "note.txt")
    open(note, "w").write("hi")
    with service(folder, secure=False) as fake:
        variables = {"MLFLOW_TRACKING_URI": fake.uri, "MLFLOW_TRACKING_TOKEN": token(60), "MLFLOW_RUN_ID": "RID",
                     "MLFLOW_EXPERIMENT_ID": "EID", "AZUREML_RUN_ID": "RID", "MLFLOW_DISABLE_TELEMETRY": "true",
                     "no_proxy": "127.0.0.1"}
        client = subprocess.run([python, "-c", CLIENT, note], env=dict(os.environ, **variables), capture_output=True,
                                text=True)
        assert client.returncode == 0, client.stderr
        return fake.requests
