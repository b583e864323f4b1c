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


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("program")
parser.add_argument("seeds", nargs="*", type=int, default=list(range(1, 16)))
parser.add_argument("--precision", default="fp32")
parser.add_argument("--json", type=pathlib.Path)
arguments = parser.parse_intermixed_args()  # options may stand between the program and the seeds

runs = {seed: run(arguments.program, seed, arguments.precision) for seed in arguments.seeds}
rows = {name: [] for name in FASTAI}
for seed, epochs in runs.items():
    errors = [epoch["error_rate"] for epoch in epochs]
    print(f"seed {seed}: " + " ".join(f"{error:.3f}" for error in errors), flush=True)
    for name, value in zip(FASTAI, [statistics.mean(errors[-3:]), errors[-1], min(errors), epochs[0]["train_loss"],
                                    epochs[-1]["train_loss"]]):
        rows[name].append(value)

all_agree = True
print("\n| | petnet mean | sd | fastai mean | sd | difference / its standard error |\n|---|---|---|---|---|---|")
for name, values in rows.items():
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    their_mean, their_deviation = FASTAI[name]
    error = math.sqrt(deviation**2 / len(values) + their_deviation**2 / FASTAI_SEEDS)
    distance = (mean - their_mean) / error
    all_agree &= abs(distance) <= 2
    print(f"| {name} | {mean:.4f} | {deviation:.4f} | {their_mean} | {their_deviation} | {distance:+.2f} |")
if arguments.json:
    version = subprocess.run([arguments.program, "--version"], capture_output=True, text=True).stdout.strip()
    result = circumstances() | {"petnet": version, "precision": arguments.precision, "epochs": runs}
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
sys.exit(0 if all_agree else 1)
