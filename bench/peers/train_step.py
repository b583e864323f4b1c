#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""petnet's training and evaluation steps against PyTorch's, taking turns on the same cores.

usage: train_step.py TRAIN_STEP_PROGRAM [--batch 32] [--size 224] [--threads 2] [--rounds 5] [--json FILE]
                     [--phases unfrozen,...] [--also compile,fastai] [--dlib DLIB_PROGRAM]
(pip install torch torchvision; fastai for that; bench/peers/compare builds DLIB_PROGRAM)

Every competitor is a process of its own that lives through the whole comparison, makes a few steps when told to, and
reports at its end the peak of its resident memory. PyTorch runs in NCHW and in channels-last, and with --also compile
by torch.compile; the best one counts. All train ResNet-34 with fastai's head in float32 on constant random input, with
Adam; fastai's are the steps of its own fine_tune, dlib's (unfrozen, its own head) those of its trainer. Prints a
Markdown table.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import resource
import statistics
import sys
import time

from worker import Failed, Worker, circumstances, command, freeze, make_network, make_optimizer

PHASES = ["frozen", "unfrozen", "evaluation"]


def torch_worker(phase, layout, batch, size, threads):
    """Reads numbers of steps from standard input, as bench/train_step does."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    if layout == "fastai":
        return fastai_worker(phase, batch, size)
    compiled, layout = layout == "compile", "channels_last" if layout == "compile" else layout
    model = make_network()
    x = torch.randn(batch, 3, size, size)
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch) % 2
    if phase == "frozen":
        freeze(model)
    loss_function = nn.CrossEntropyLoss()
    optimizer = make_optimizer(model)
    if compiled:
        model = torch.compile(model)

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
    answer(lambda count: [step() for _ in range(count)])


def fastai_worker(phase, batch, size):
    """The batches of fine_tune's own calls of fit_one_cycle, as fastai's Learner makes them."""
    import torch
    from fastai.vision.all import Callback, CancelValidException, DataLoaders, resnet34, vision_learner

    class Batches:
        """One batch, so often."""
        count, dataset, bs = 1, range(batch), batch

        def __init__(self):
            self.batch = torch.randn(batch, 3, size, size), torch.arange(batch) % 2

        def __len__(self):
            return self.count

        def __iter__(self):
            return iter([self.batch] * self.count)

    class Clock(Callback):
        def before_fit(self):
            self.seconds = []

        def before_batch(self):
            self.began = time.perf_counter()

        def after_batch(self):
            self.seconds.append(time.perf_counter() - self.began)

        def before_validate(self):
            raise CancelValidException

    batches, clock = Batches(), Clock()
    learner = vision_learner(DataLoaders(batches, batches), resnet34, pretrained=False, n_out=2, normalize=False,
                             loss_func=torch.nn.CrossEntropyLoss(), cbs=[clock])
    if phase == "frozen":
        learner.freeze()
    else:
        learner.unfreeze()

    def steps(count):
        batches.count = count
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(1, slice(1e-5, 1e-3), pct_start=0.99 if phase == "frozen" else 0.3, div=5.0)
        return clock.seconds

    answer(steps)


def answer(steps):
    """A line for each line, with the seconds of so many steps; at the end the peak of memory."""
    for line in sys.stdin:
        print(json.dumps({"seconds": steps(int(line))}), flush=True)
    print(json.dumps({"peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}), flush=True)


def compare(options):
    import torch
    result = circumstances() | {"threads": options.threads, "batch": options.batch, "size": options.size,
                                "command": command(), "torch": torch.__version__, "phases": {}}
    if "fastai" in options.also:
        result["fastai"] = importlib.metadata.version("fastai")
    for phase in options.phases:
        shape = [str(options.batch), str(options.size)]
        threads = {"OMP_NUM_THREADS": str(options.threads)}
        workers = {"petnet": Worker(
            [options.program, "--device", "cpu", "--phase", phase, "--batch", shape[0], "--size", shape[1],
             "--precision", "fp32", "--threads", str(options.threads)], threads)}
        for layout in ["nchw", "channels_last", *options.also]:
            if layout != "fastai" or phase != "evaluation":
                workers["fastai" if layout == "fastai" else f"torch {layout}"] = Worker(
                    [sys.executable, __file__, "--worker", phase, layout, *shape, str(options.threads)], threads)
        if options.dlib and phase == "unfrozen":
            workers["dlib"] = Worker([options.dlib, shape[0]], threads | {"OPENBLAS_NUM_THREADS": str(options.threads)})
        for name, worker in list(workers.items()):
            try:
                worker.ask(2)  # warm-up: primitives, caches, allocator, compilation
            except Failed as failure:
                if name == "petnet":
                    raise
                result.setdefault("not_run", {})[f"{phase}, {name}"] = str(failure)
                del workers[name]
        seconds = {name: [] for name in workers}
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
    lines = ["| phase | petnet img/s | PyTorch NCHW | channels-last | compiled | ratio to the best | peak memory, MB | its | ratio |",
             "|---|---|---|---|---|---|---|---|---|"]
    for phase, rows in result["phases"].items():
        rate = {name: result["batch"] / row["median"] for name, row in rows.items()}
        best = max((name for name in rate if name.startswith("torch ")), key=rate.get)
        compiled = f"{rate['torch compile']:.1f}" if "torch compile" in rate else "-"
        memory = {name: row["peak_rss_mb"] for name, row in rows.items()}
        lines.append(f"| {phase} | {rate['petnet']:.1f} | {rate['torch nchw']:.1f} | {rate['torch channels_last']:.1f} | "
                     f"{compiled} | {rate['petnet'] / rate[best]:.2f} | {memory['petnet']:.0f} | {memory[best]:.0f} | "
                     f"{memory['petnet'] / memory[best]:.2f} |")
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
        parser.add_argument("--phases", type=lambda names: names.split(","), default=PHASES)
        parser.add_argument("--also", type=lambda names: names.split(","), default=[])
        parser.add_argument("--dlib")
        parser.add_argument("--json", type=pathlib.Path)
        arguments = parser.parse_args()
        outcome = compare(arguments)
        if arguments.json:
            arguments.json.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
        print(f"{conditions(outcome)}\n\n{table(outcome)}")
