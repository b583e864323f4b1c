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
import resource
import statistics
import sys
import time

from worker import Worker, circumstances, freeze, make_network, make_optimizer

PHASES = ["frozen", "unfrozen", "evaluation"]


def torch_worker(phase, layout, batch, size, threads):
    """Reads numbers of steps from standard input, as bench/train_step does."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    model = make_network()
    x = torch.randn(batch, 3, size, size)
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch) % 2
    if phase == "frozen":
        freeze(model)
    loss_function = nn.CrossEntropyLoss()
    optimizer = make_optimizer(model)

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


def compare(options):
    import torch
    result = circumstances() | {"threads": options.threads, "batch": options.batch, "size": options.size,
                                "command": " ".join(sys.argv), "torch": torch.__version__, "phases": {}}
    for phase in PHASES:
        shape = [str(options.batch), str(options.size)]
        threads = {"OMP_NUM_THREADS": str(options.threads)}
        workers = {"petnet": Worker(
            [options.program, "--device", "cpu", "--phase", phase, "--batch", shape[0], "--size", shape[1],
             "--precision", "fp32", "--threads", str(options.threads)], threads)}
        for layout in ["nchw", "channels_last"]:
            workers[f"torch {layout}"] = Worker(
                [sys.executable, __file__, "--worker", phase, layout, *shape, str(options.threads)], threads)
        seconds = {name: [] for name in workers}
        for worker in workers.values():
            worker.ask(2)  # warm-up: primitives, caches, allocator
        for _ in range(options.rounds):
            for name, worker in workers.items():
                seconds[name] += worker.ask(options.steps)["seconds"]
        result["phases"][phase] = {
            name: {"seconds": seconds[name], "median": statistics.median(seconds[name]),
                   "peak_rss_mb": worker.finish()["peak_rss_mb"]}
            for name, worker in workers.items()}
    return result


def table(result):
    """Markdown, of a file in bench/results."""
    lines = ["| phase | petnet img/s | PyTorch NCHW | channels-last | ratio to the better | peak memory, MB | PyTorch's | ratio |",
             "|---|---|---|---|---|---|---|---|"]
    for phase, rows in result["phases"].items():
        rate = {name: result["batch"] / row["median"] for name, row in rows.items()}
        better = max(("torch nchw", "torch channels_last"), key=rate.get)
        memory = {name: row["peak_rss_mb"] for name, row in rows.items()}
        lines.append(f"| {phase} | {rate['petnet']:.1f} | {rate['torch nchw']:.1f} | {rate['torch channels_last']:.1f} | "
                     f"{rate['petnet'] / rate[better]:.2f} | {memory['petnet']:.0f} | {memory[better]:.0f} | "
                     f"{memory['petnet'] / memory[better]:.2f} |")
    return "\n".join(lines)


def conditions(result):
    return (f"{result['device']}, {result['threads']} threads, float32, batch {result['batch']}, "
            f"{result['size']}x{result['size']}, PyTorch {result['torch']}, {result['date']}, commit {result['commit']}")


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
        print(f"{conditions(outcome)}\n\n{table(outcome)}")
