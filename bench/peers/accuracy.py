#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does petnet learn what fastai learns? Fifteen seeds on the embedded sample against fastai's record of five.

usage: accuracy.py PETNET_PROGRAM [--precision fp32] [--json FILE] [SEED...]

fastai 2.8.12's figures are those of data/sample/WEIGHTS.md: same photographs, weights and settings, other draws. A row
agrees if the difference of the means is within two standard errors of the difference. Exit status 1 if one does not.
"""
import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

from worker import circumstances

# row: (fastai's mean, its standard deviation over five seeds)
FASTAI = {
    "error_rate, mean of the last three epochs": (0.2565, 0.0245),
    "error_rate, last epoch": (0.264, 0.035),
    "error_rate, best epoch": (0.224, 0.022),
    "train_loss, frozen epoch": (1.259, 0.065),
    "train_loss, last epoch": (0.586, 0.030),
}
FASTAI_SEEDS = 5


def run(program, seed, precision):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "train", "--size", "128", "--batch-size", "16", "--epochs", "5", "--seed", str(seed),
                        "--precision", precision, "--output", f"{folder}/run", "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(f"{folder}/run/metrics.jsonl", encoding="utf-8")]
    return [line for line in lines if "error_rate" in line]


def rows_of(epochs_by_seed):
    """(row, petnet's mean and deviation, fastai's, the difference in standard errors of it)"""
    values = {name: [] for name in FASTAI}
    for epochs in epochs_by_seed.values():
        errors = [epoch["error_rate"] for epoch in epochs]
        for name, value in zip(FASTAI, [statistics.mean(errors[-3:]), errors[-1], min(errors), epochs[0]["train_loss"],
                                        epochs[-1]["train_loss"]]):
            values[name].append(value)
    rows = []
    for name, (their_mean, their_deviation) in FASTAI.items():
        mean, deviation = statistics.mean(values[name]), statistics.stdev(values[name])
        error = math.sqrt(deviation**2 / len(values[name]) + their_deviation**2 / FASTAI_SEEDS)
        rows.append((name, mean, deviation, their_mean, their_deviation, (mean - their_mean) / error))
    return rows


def table(result):
    """Markdown, of a file in bench/results."""
    epochs = {seed: epochs for run in result["runs"] for seed, epochs in run["epochs"].items()}
    lines = ["| | petnet mean | sd | fastai mean | sd | difference in standard errors |", "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {mean:.3f} | {deviation:.3f} | {their_mean:.3f} | {their_deviation:.3f} | {distance:+.2f} |"
              for name, mean, deviation, their_mean, their_deviation, distance in rows_of(epochs)]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("seeds", nargs="*", type=int, default=list(range(1, 16)))
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_intermixed_args()  # options may stand between the program and the seeds

    epochs = {}
    for seed in arguments.seeds:
        epochs[seed] = run(arguments.program, seed, arguments.precision)
        print(f"seed {seed}: " + " ".join(f"{epoch['error_rate']:.3f}" for epoch in epochs[seed]), flush=True)
    version = subprocess.run([arguments.program, "--version"], capture_output=True, text=True).stdout.strip()
    result = circumstances() | {"runs": [{"petnet": version, "precision": arguments.precision, "epochs": epochs}]}
    print("\n" + table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(abs(row[-1]) <= 2 for row in rows_of(epochs)) else 1)


if __name__ == "__main__":
    main()
