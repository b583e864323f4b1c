# SPDX-License-Identifier: Apache-2.0
"""What the comparisons share: PyTorch's network, competitors as processes that take turns, where and when it was."""
import json
import os
import pathlib
import platform
import queue
import subprocess
import sys
import threading
import time


def make_network():
    """fastai's ResNet-34 with its head for two classes: (body, head) as one Sequential."""
    import torch
    from torch import nn
    from torchvision.models import resnet34

    class ConcatPool(nn.Module):
        def forward(self, x):
            return torch.cat([nn.functional.adaptive_max_pool2d(x, 1), nn.functional.adaptive_avg_pool2d(x, 1)], 1)

    body = nn.Sequential(*list(resnet34().children())[:-2])
    head = nn.Sequential(
        ConcatPool(), nn.Flatten(), nn.BatchNorm1d(1024), nn.Dropout(0.25), nn.Linear(1024, 512, bias=False),
        nn.ReLU(inplace=True), nn.BatchNorm1d(512), nn.Dropout(0.5), nn.Linear(512, 2, bias=False))
    return nn.Sequential(body, head)


def freeze(network):
    """The body's convolutions keep their weights; its batch norms and the head train."""
    from torch import nn
    for module in network[0].modules():
        if isinstance(module, nn.Conv2d):
            module.weight.requires_grad_(False)


def make_optimizer(network):
    """The fastest of torch's own Adams; the arithmetic is petnet's but for where epsilon is added."""
    import torch
    trained = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=1e-5, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01, fused=True)


def portable(word):
    """A word of a command line for a result's file: what lies in the repository by its place there, all other files by their
    names, so that it can be repeated elsewhere and says nothing of this machine's folders."""
    root = pathlib.Path(__file__).resolve().parents[2]
    path = pathlib.Path(word)
    if not path.is_absolute() and not path.exists():
        return str(word)
    return str(path.resolve().relative_to(root)) if path.resolve().is_relative_to(root) else path.name


def command():
    """This program's command line for a result's file."""
    return " ".join(map(portable, sys.argv))


def commit():
    """Of the programs where the caller names it (PETNET_COMMIT), else of this checkout."""
    if named := os.environ.get("PETNET_COMMIT"):
        return named
    root = pathlib.Path(__file__).resolve().parents[2]
    try:
        described = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True,
                                   text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return "unknown"
    return described.stdout.strip()


def cpu_name():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def circumstances():
    """What a result's file says of where it comes from."""
    return {"date": time.strftime("%Y-%m-%d"), "device": cpu_name(), "processors": os.cpu_count(), "commit": commit()}


class Failed(Exception):
    """A worker has ended, or has not answered in time; the text says which and why."""


class Worker:
    """A process that answers each line it is sent with one line of JSON."""

    def __init__(self, command, environment=None, log=None):
        self.log = log
        with open(log or os.devnull, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                            stderr=errors if log else None, env={**os.environ, **(environment or {})})
        self.answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def send(self, line):
        try:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Failed(self._why()) from error

    def receive(self, seconds=None):
        try:
            answer = self.answers.get(timeout=seconds)
        except queue.Empty as error:
            self.kill()
            raise Failed(f"no answer in {seconds:.0f} s") from error
        if answer is None:
            raise Failed(self._why())
        return json.loads(answer)

    def ask(self, line, seconds=None):
        self.send(line)
        return self.receive(seconds)

    def finish(self, seconds=None):
        """The last answer, which a worker gives when its input ends."""
        self.process.stdin.close()
        last = self.receive(seconds)
        self.process.wait()
        return last

    def kill(self):
        self.process.kill()
        self.process.wait()

    def _why(self):
        self.process.wait()
        lines = pathlib.Path(self.log).read_text(encoding="utf-8").strip().splitlines() if self.log else []
        return lines[-1][:200] if lines else f"ended with status {self.process.returncode}"
