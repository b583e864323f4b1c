# SPDX-License-Identifier: Apache-2.0
"""petnet-bench's peaks of this processor against likwid-bench's and PyTorch's matrix product, taking turns.

usage: peaks.py PETNET_BENCH [--rounds 7] [--json FILE]   (apt-get install likwid; pip install torch)

Copy: more memory than the caches hold, bytes read and bytes written, by ordinary stores or past the caches, whichever
is faster. FMA: multiply-adds in registers, float32. GEMM: (4096, 1024) * (1024, 1024), float32. All threads. Prints a
Markdown table of the medians over the rounds and of the ratio of each round's pair.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import time

import torch

from worker import circumstances

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("program")
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--json", type=pathlib.Path)
arguments = parser.parse_args()
threads = len(os.sched_getaffinity(0))
torch.set_num_threads(threads)

flags = set(re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split())
wide = "_avx512" if "avx512f" in flags else "_avx" if "avx" in flags else "_sse"
multiply_add = "_avx512_fma" if "avx512f" in flags else "_avx_fma" if "fma" in flags else "_sse"


def likwid(test, size, unit):
    """1e9 a second of what the test counts in `unit`; each thread has its part of `size`."""
    told = subprocess.run(["likwid-bench", "-t", test, "-W", f"N:{size}:{threads}"], check=True, capture_output=True,
                          text=True).stdout
    return float(re.search(rf"^{unit}:\s*([0-9.]+)", told, re.MULTILINE)[1]) / 1e3


left, right = torch.rand(4096, 1024), torch.rand(1024, 1024)


def product():
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - began)
    return 2e-9 * 4096 * 1024 * 1024 / statistics.median(seconds[1:])


def petnet():
    told = json.loads(subprocess.run([arguments.program, "peaks", "--device", "cpu", "--dtype", "fp32"], check=True,
                                     capture_output=True, text=True).stdout)
    return {"copy": told["copy_gb_per_s"], "fma": told["fma_gflop_per_s"], "gemm": told["gemm_gflop_per_s"]["fp32"]}


def others():
    return {"copy": max(likwid(f"{kind}{wide}", "1GB", "MByte/s") for kind in ("copy", "copy_mem")),
            "fma": likwid(f"peakflops_sp{multiply_add}", "32kB", "MFlops/s"), "gemm": product()}


ours, theirs = [], []
for _ in range(arguments.rounds):
    ours.append(petnet())
    theirs.append(others())

median = statistics.median
version = subprocess.run(["likwid-bench", "-v"], capture_output=True, text=True).stdout.strip().splitlines()[-1]
names = {"copy": f"copy, GB/s ({version})", "fma": f"FMA, GFLOP/s ({version})",
         "gemm": f"GEMM, GFLOP/s (PyTorch {torch.__version__})"}
result = {**circumstances(), "command": "bench/peers/peaks.py build/release/bench/petnet-bench", "threads": threads,
          "likwid": version, "torch": torch.__version__, "rounds": {"petnet": ours, "others": theirs}}
print("| | petnet-bench | the other | ratio | least | most |\n|---|---|---|---|---|---|")
for key, name in names.items():
    ratios = [a[key] / b[key] for a, b in zip(ours, theirs)]
    print(f"| {name} | {median(r[key] for r in ours):.1f} | {median(r[key] for r in theirs):.1f} |"
          f" {median(ratios):.3f} | {min(ratios):.3f} | {max(ratios):.3f} |")
if arguments.json:
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
