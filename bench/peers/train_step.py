# SPDX-License-Identifier: Apache-2.0
"""petnet's training and evaluation steps against PyTorch's, taking turns on the same cores.

usage: train_step.py TRAIN_STEP_PROGRAM [--batch 32] [--size 224] [--threads 2] [--rounds 5] [--json FILE]
(pip install torch torchvision)

Every competitor is a process of its own that lives through the whole comparison, makes a few steps when told to, and
reports at its end the peak of its resident memory. PyTorch runs in NCHW and in channels-last; the better one counts.
Both train ResNet-34 with fastai's head in float32 on constant random input, with Adam. Prints a Markdown table.
"""
import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

PHASES = ["frozen", "unfrozen", "evaluation"]


def torch_worker(phase, layout, batch, size, threads):
    """Reads numbers of steps from standard input, as bench/train_step does."""
    import torch
    from torch import nn
    from torchvision.models import resnet34

    torch.set_num_threads(threads)

    class ConcatPool(nn.Module):
        def forward(self, x):
            return torch.cat([nn.functional.adaptive_max_pool2d(x, 1), nn.functional.adaptive_avg_pool2d(x, 1)], 1)

    body = nn.Sequential(*list(resnet34().children())[:-2])
    head = nn.Sequential(
        ConcatPool(), nn.Flatten(), nn.BatchNorm1d(1024), nn.Dropout(0.25), nn.Linear(1024, 512, bias=False),
        nn.ReLU(inplace=True), nn.BatchNorm1d(512), nn.Dropout(0.5), nn.Linear(512, 2, bias=False))
    model = nn.Sequential(body, head)
    x = torch.randn(batch, 3, size, size)
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch) % 2
    if phase == "frozen":
        for module in body.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.requires_grad_(False)
    loss_function = nn.CrossEntropyLoss()
    trained = [p for p in model.parameters() if p.requires_grad]
    # The fastest of torch's own Adams on a CPU; the arithmetic is petnet's but for where epsilon is added.
    optimizer = torch.optim.AdamW(trained, lr=1e-5, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01, fused=True)

    def step():
        began = time.perf_counter()
        if phase == "evaluation":
            with torch.inference_mode():
                loss_function(model(x), y).item()
        else:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_function(model(x), y)
            loss.backward()
            optimizer.step()
            loss.item()
        return time.perf_counter() - began

    model.train(phase != "evaluation")
    for line in sys.stdin:
        print(json.dumps({"seconds": [step() for _ in range(int(line))]}), flush=True)
    print(json.dumps({"peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}), flush=True)


class Worker:
    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})})
        self.seconds = []

    def steps(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["seconds"]

    def finish(self):
        self.process.stdin.close()
        self.peak_mb = json.loads(self.process.stdout.readline())["peak_rss_mb"]
        self.process.wait()


def compare(options):
    result = {"date": time.strftime("%Y-%m-%d"), "device": cpu_name(), "threads": options.threads,
              "batch": options.batch, "size": options.size, "command": " ".join(sys.argv), "phases": {}}
    import torch
    result["torch"] = torch.__version__
    repository = pathlib.Path(__file__).resolve().parent
    result["commit"] = subprocess.run(["git", "-C", repository, "describe", "--always", "--dirty"],
                                      capture_output=True, text=True).stdout.strip()
    for phase in PHASES:
        shape = [str(options.batch), str(options.size)]
        threads = {"OMP_NUM_THREADS": str(options.threads)}
        workers = {"petnet": Worker([options.program, phase, *shape, "fp32", str(options.threads)], threads)}
        for layout in ["nchw", "channels_last"]:
            workers[f"torch {layout}"] = Worker(
                [sys.executable, __file__, "--worker", phase, layout, *shape, str(options.threads)], threads)
        for worker in workers.values():
            worker.steps(2)  # warm-up: primitives, caches, allocator
        for _ in range(options.rounds):
            for worker in workers.values():
                worker.seconds += worker.steps(options.steps)
        for worker in workers.values():
            worker.finish()
        result["phases"][phase] = {
            name: {"seconds": w.seconds, "median": statistics.median(w.seconds), "peak_rss_mb": w.peak_mb}
            for name, w in workers.items()}
    return result


def cpu_name():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def table(result):
    lines = [f"{result['device']}, {result['threads']} threads, float32, batch {result['batch']}, "
             f"{result['size']}x{result['size']}, PyTorch {result['torch']}, {result['date']}, commit {result['commit']}", "",
             "| phase | petnet img/s | PyTorch NCHW img/s | channels-last img/s | ratio to the better | petnet MB | PyTorch MB | ratio |",
             "|---|---|---|---|---|---|---|---|"]
    for phase, rows in result["phases"].items():
        rate = {name: result["batch"] / row["median"] for name, row in rows.items()}
        better = max(("torch nchw", "torch channels_last"), key=rate.get)
        memory = {name: row["peak_rss_mb"] for name, row in rows.items()}
        lines.append(f"| {phase} | {rate['petnet']:.1f} | {rate['torch nchw']:.1f} | {rate['torch channels_last']:.1f} | "
                     f"{rate['petnet'] / rate[better]:.2f} | {memory['petnet']:.0f} | {memory[better]:.0f} | "
                     f"{memory['petnet'] / memory[better]:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1] == "--worker":
        torch_worker(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7]))
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("program")
        parser.add_argument("--batch", type=int, default=32)
        parser.add_argument("--size", type=int, default=224)
        parser.add_argument("--threads", type=int, default=os.cpu_count())
        parser.add_argument("--rounds", type=int, default=5)
        parser.add_argument("--steps", type=int, default=2)
        parser.add_argument("--json", type=pathlib.Path)
        arguments = parser.parse_args()
        outcome = compare(arguments)
        if arguments.json:
            arguments.json.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
        print(table(outcome))
