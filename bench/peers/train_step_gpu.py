# SPDX-License-Identifier: Apache-2.0
"""petnet's training and evaluation steps against PyTorch's on a GPU, taking turns.

usage: train_step_gpu.py TRAIN_STEP_PROGRAM [--batches 64,256] [--precisions bf16,fp16] [--seconds 240] [--json FILE]
       train_step_gpu.py --seconds 160  without a program: only fills the cache of torch.compile
       train_step_gpu.py --peaks        one line of JSON: versions, GFLOP/s of large matrix products by precision

PyTorch trains the same network channels-last with automatic mixed precision, fused Adam and cuDNN's own search for
the fastest convolutions, as it is (eager) and by torch.compile; its input lies on the GPU already normalised, petnet's
as pixels. Nobody waits for a step's loss before the next step. Every competitor is a process of its own; those of a
comparison warm up first (torch.compile compiles), then take turns in rounds. Prints a Markdown table: the median
over the rounds and the distance between the quartiles. What does not work is a row that says "not run" and why.
Rows and files are written as soon as they are known, so that nothing is lost where it is stopped.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from worker import Failed, Worker, command, commit, freeze, make_network, make_optimizer

DECIDING = ["unfrozen", "frozen"]
LEAST_RATIO = {64: 1.8, 256: 1.5}  # petnet / torch.compile, by batch
TORCH = ["eager", "compile"]
SECONDS_A_ROUND = 0.2
OUT_OF_TIME = "no time was left"


def torch_worker(mode, phase, precision, batch, size):
    """Reads lines "pipelined N" from standard input, as bench/train_step does.

    The first one warms up while others do; cuDNN's search waits for the second, when nobody else uses the GPU.
    """
    import torch

    torch.set_num_threads(2)
    network = make_network().cuda().to(memory_format=torch.channels_last)
    if phase == "frozen":
        freeze(network)
    network.train(phase != "evaluation")
    x = torch.randn(batch, 3, size, size, device="cuda").contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch, device="cuda") % 2
    cross_entropy = torch.nn.CrossEntropyLoss()

    def loss_of(images, labels):
        with torch.autocast("cuda", torch.float16 if precision == "fp16" else torch.bfloat16):
            return cross_entropy(network(images), labels)

    if mode == "compile":
        loss_of = torch.compile(loss_of)
    optimizer = make_optimizer(network)
    scaler = torch.amp.GradScaler(enabled=precision == "fp16")

    def step():
        if phase == "evaluation":
            with torch.no_grad():
                loss_of(x, y)
            return
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss_of(x, y)).backward()
        scaler.step(optimizer)
        scaler.update()

    for line in sys.stdin:
        count = int(line.split()[-1])
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            step()
        torch.cuda.synchronize()
        print(json.dumps({"steps": count, "seconds": time.perf_counter() - began}), flush=True)
        torch.backends.cudnn.benchmark = True
    print(json.dumps({"peak_gpu_mb": torch.cuda.max_memory_allocated() / 1e6}), flush=True)


def print_peaks():
    import torch

    def gflops(dtype, tf32):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        side = 8192
        a, b = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        milliseconds = []
        for _ in range(10):
            start.record()
            a @ b
            end.record()
            end.synchronize()
            milliseconds.append(start.elapsed_time(end))
        return 2 * side**3 / statistics.median(milliseconds[3:]) / 1e6

    print(json.dumps({"torch": torch.__version__, "torch_cuda": torch.version.cuda,
                      "torch_cudnn": torch.backends.cudnn.version(), "bf16": gflops(torch.bfloat16, False), "fp16": gflops(torch.float16, False),
                      "tf32": gflops(torch.float32, True), "fp32": gflops(torch.float32, False)}))


class Stopped(Exception):
    """By SIGTERM."""


def on_sigterm(*_):
    raise Stopped


class Contest:
    """The competitors of one phase, precision and batch."""

    def __init__(self, options, phase, precision, batch):
        self.phase, self.precision, self.batch = phase, precision, batch
        self.compile_threads = str(options.compile_threads)
        self.rows, self.workers = {}, {}
        shape = ["--phase", phase, "--precision", precision, "--batch", str(batch), "--size", str(options.size)]
        self.commands = {"petnet": [options.program, "--device", options.device, *shape]}
        for mode in TORCH:
            self.commands[mode] = [sys.executable, __file__, "--worker", mode, phase, precision, str(batch),
                                   str(options.size)]
        self.logs = {name: f"{options.logs}/{phase}-{precision}-{batch}-{name}.log" for name in self.commands}

    def start(self, name):
        """Begins to warm up: prepares or compiles, fills its pools of memory."""
        environment = {} if name == "petnet" else {"TORCHINDUCTOR_COMPILE_THREADS": self.compile_threads}
        self.workers[name] = Worker(self.commands[name], environment, self.logs[name])
        self.attempt(name, lambda: self.workers[name].send("pipelined 8"))

    def attempt(self, name, action):
        try:
            return action()
        except Failed as failure:
            self.rows[name] = {"not_run": str(failure)}
            self.workers.pop(name).kill()
            return None

    def warm(self, name, deadline):
        if name in self.workers:
            self.attempt(name, lambda: self.workers[name].receive(seconds_until(deadline)))

    def take_turns(self, rounds, deadline):
        steps, samples = {}, {name: [] for name in self.workers}
        first = 2  # before it, algorithms are searched for, then a round's steps are counted
        for turn in range(first + rounds):
            if turn > first + 2 and time.monotonic() > deadline:
                break
            for name in list(self.workers):
                count = steps.get(name, 5)
                answer = self.attempt(name, lambda name=name, count=count:
                                      self.workers[name].ask(f"pipelined {count}", seconds_until(deadline + 10)))
                if answer is None:
                    continue
                seconds = answer["seconds"] / answer["steps"]
                if turn < first:
                    steps[name] = max(3, min(1000, round(SECONDS_A_ROUND / seconds)))
                else:
                    samples[name].append(seconds)
        for name in list(self.workers):
            last = self.attempt(name, lambda name=name: self.workers[name].finish(seconds_until(deadline + 10)))
            if last is not None:
                self.rows[name] = {"seconds": samples[name], "median": statistics.median(samples[name]),
                                   "steps_a_round": steps[name], **last}

    def stop(self, reason):
        for worker in self.workers.values():
            worker.kill()
        for name in self.commands:
            self.rows.setdefault(name, {"not_run": reason})

    def seconds(self, name):
        return self.rows[name].get("median")


def seconds_until(deadline):
    return max(deadline - time.monotonic(), 1)


def contests_of(options, phases):
    return [Contest(options, phase, precision, batch) for precision in options.precisions
            for batch in options.batches for phase in phases]


def compile_steps(options):
    """Compiles before the comparison, which then finds all in the cache (TORCHINDUCTOR_CACHE_DIR): minutes, in which
    the device and some processors may do other work."""
    end = time.monotonic() + options.seconds
    print("| phase | precision | batch | torch.compile, seconds to the first step |\n|---|---|---|---|")

    def compile_one(contest):
        began = time.monotonic()
        answer = None
        if began + 20 < end:
            contest.start("compile")
            contest.warm("compile", end)
            answer = f"{time.monotonic() - began:.0f}" if "compile" in contest.workers else None
        contest.stop(OUT_OF_TIME)
        print(f"| {contest.phase} | {contest.precision} | {contest.batch} | "
              f"{answer or 'not run: ' + contest.rows['compile']['not_run']} |\n", end="", flush=True)  # in one piece
        return answer

    with concurrent.futures.ThreadPoolExecutor(options.together) as pool:
        answers = list(pool.map(compile_one, contests_of(options, DECIDING)))
    return 0 if any(answers) else 1


def compare(options, result, tell):
    """Fills result["contests"] and tells of each group of them."""
    contests = contests_of(options, DECIDING) + contests_of(options, ["evaluation"])
    began = time.monotonic()
    end = began + options.seconds
    for first in range(0, len(contests), options.together):
        group = contests[first:first + options.together]
        groups_left = -(-(len(contests) - first) // options.together)
        group_end = min(end, time.monotonic() + (end - time.monotonic()) / groups_left * 1.5)
        reason = OUT_OF_TIME
        try:
            if end - time.monotonic() < 20:
                continue
            turns_begin = group_end - (1 + len(TORCH)) * (options.rounds + 2) * len(group) * SECONDS_A_ROUND
            for contest in group:
                for name in TORCH:
                    contest.start(name)
            for contest in group:
                for name in TORCH:
                    contest.warm(name, min(max(turns_begin, time.monotonic() + 15), end))
            for contest in group:  # alone, as it may time convolutions while it prepares, and remembers what it chose
                contest.start("petnet")
                contest.warm("petnet", min(max(turns_begin, time.monotonic() + 15), end))
            for contest in group:
                contest.take_turns(options.rounds, group_end)
        except Stopped:
            reason = "stopped"
            raise
        finally:
            for contest in group:
                contest.stop(reason)
            result["contests"] += [{"phase": c.phase, "precision": c.precision, "batch": c.batch, "rows": c.rows}
                                   for c in group]
            result["seconds"] = time.monotonic() - began
            tell(group)


def environment():
    found = {"device": "unknown", "driver": "unknown"}
    try:
        asked = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
                               capture_output=True, text=True, timeout=30, check=True).stdout
        found["device"], found["driver"] = [word.strip() for word in asked.splitlines()[0].split(",")]
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        pass
    import torch
    import torchvision
    return {**found, "torch": torch.__version__, "torchvision": torchvision.__version__,
            "torch_cuda": torch.version.cuda, "torch_cudnn": torch.backends.cudnn.version()}


def cell(row, batch):
    if "not_run" in row:
        return f"not run: {row['not_run']}"
    quarters = statistics.quantiles(row["seconds"], n=4) if len(row["seconds"]) > 1 else [row["median"]] * 3
    return (f"{batch / row['median']:.0f} ({1e3 * row['median']:.2f} ms, "
            f"{100 * (quarters[2] - quarters[0]) / row['median']:.1f}%)")


def heading(result):
    return (f"{result['device']}, driver {result['driver']}, PyTorch {result['torch']} (CUDA {result['torch_cuda']}, "
            f"cuDNN {result['torch_cudnn']}), {result['size']}x{result['size']}, {result['date']}, commit "
            f"{result['commit']}. Images/s (median of a step, distance between the quartiles).\n\n"
            "| phase | precision | batch | petnet | PyTorch eager | torch.compile | petnet / eager | petnet / compile "
            "|\n"
            "|---|---|---|---|---|---|---|---|")


def line(contest):
    petnet = contest.seconds("petnet")
    ratios = [f"{contest.seconds(mode) / petnet:.2f}" if contest.seconds(mode) and petnet else "-" for mode in TORCH]
    return (f"| {contest.phase} | {contest.precision} | {contest.batch} | "
            + " | ".join(cell(contest.rows[name], contest.batch) for name in ["petnet", *TORCH])
            + " | " + " | ".join(ratios) + " |")


def must_hold(options, result):
    """A line for each requirement: what it is, "holds", "missed" or "not measured", and the ratio."""
    def fastest(name, phase, batch, precisions):
        rows = [contest["rows"][name] for contest in result["contests"]
                if (contest["phase"], contest["batch"]) == (phase, batch) and contest["precision"] in precisions]
        measured = [row["median"] for row in rows if "median" in row]
        return min(measured) if len(measured) == len(precisions) else None

    choices = [[each] for each in options.precisions]
    if len(choices) > 1:
        choices.append(options.precisions)
    lines = []
    for batch in options.batches:
        for phase in DECIDING:
            for precisions in choices:
                petnet, compiled = (fastest(name, phase, batch, precisions) for name in ["petnet", "compile"])
                ratio = compiled / petnet if petnet and compiled else None
                limit = LEAST_RATIO.get(batch, 1)
                verdict = "not measured" if ratio is None else "holds" if ratio >= limit else "missed"
                who = "best against best of " + ", ".join(precisions) if len(precisions) > 1 else precisions[0]
                text = f"petnet / torch.compile, {phase}, batch {batch}, {who}: at least {limit}"
                lines.append(f"| {text} | {verdict} | {'-' if ratio is None else f'{ratio:.2f}'} |")
    return lines


def why_no_torch():
    try:
        import torch
        import torchvision
    except ImportError as error:
        return f"not run: {error} (pip install torch torchvision)"
    return "" if torch.cuda.is_available() else (
        f"not run: PyTorch {torch.__version__}, torchvision {torchvision.__version__} find no GPU")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?")
    parser.add_argument("--peaks", action="store_true")
    parser.add_argument("--batches", type=lambda text: [int(word) for word in text.split(",")], default=[64, 256])
    parser.add_argument("--precisions", type=lambda text: text.split(","), default=["bf16", "fp16"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=240, help="for all of it")
    parser.add_argument("--device", default="cuda", help="of petnet")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--must-hold", type=pathlib.Path, help="a file for the verdicts")
    options = parser.parse_args()
    if missing := why_no_torch():
        print(missing)
        return 77
    if options.peaks:
        print_peaks()
        return 0
    import torch
    processors, gpu_gb = os.cpu_count() or 2, int(torch.cuda.get_device_properties(0).total_memory / 1e9)
    # Compiling takes processors, warm competitors take memory; and those of one comparison warm up together.
    options.together = max(1, min(processors // 3, gpu_gb // 24)) if options.program else max(1, processors // 8)
    options.compile_threads = max(2, processors // options.together // (1 if options.program else 2))
    with tempfile.TemporaryDirectory() as options.logs:
        if not options.program:
            return compile_steps(options)
        result = {"date": time.strftime("%Y-%m-%d"), **environment(), "commit": commit(), "size": options.size,
                  "command": command(), "contests": []}
        print(heading(result), flush=True)

        def tell(group):
            print("\n".join(map(line, group)), flush=True)
            if options.json:
                options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            if options.must_hold:
                options.must_hold.write_text("\n".join(must_hold(options, result)) + "\n", encoding="utf-8")

        signal.signal(signal.SIGTERM, on_sigterm)
        try:
            compare(options, result, tell)
        except Stopped:
            print("\nstopped before its end")
    rows = [row for contest in result["contests"] for row in contest["rows"].values()]
    if any("median" in row for row in rows):
        return 0
    reasons = {row["not_run"] for row in rows} - {OUT_OF_TIME}
    print(f"\nnot run: {'; '.join(sorted(reasons)) or OUT_OF_TIME}")
    return 1 if reasons else 77


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        torch_worker(*sys.argv[2:5], *map(int, sys.argv[5:7]))
    else:
        sys.exit(main())
