#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""petnet-bench's peaks of this processor against likwid-bench's and PyTorch's, taking turns.

usage: peaks.py PETNET_BENCH [--rounds 7] [--json FILE]   (apt-get install likwid; pip install torch)

Copy: more memory than the caches hold, bytes read and bytes written, by ordinary stores or past the caches, whichever
is faster. FMA: multiply-adds in registers, float32. GEMM: the same 1x1 convolution of 16 images of 1024 channels and
16 x 16 pixels, float32, channels-last, by oneDNN in both. All threads. Prints a Markdown table of the medians over the
rounds and of the ratio of each round's pair.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import time

from worker import circumstances, command


def widest():
    """The ends of likwid-bench's names: of its copies, of its multiply-adds."""
    flags = set(re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split())
    return ("_avx512" if "avx512f" in flags else "_avx" if "avx" in flags else "_sse",
            "_avx512_fma" if "avx512f" in flags else "_avx_fma" if "fma" in flags else "_sse")


def likwid(test, size, unit, threads):
    """1e9 a second of what the test counts in `unit`; each thread has its part of `size`."""
    told = subprocess.run(["likwid-bench", "-t", test, "-W", f"N:{size}:{threads}"], check=True, capture_output=True,
                          text=True).stdout
    return float(re.search(rf"^{unit}:\s*([0-9.]+)", told, re.MULTILINE)[1]) / 1e3


def product(torch, pixels, weights):
    """GFLOP/s, once at speed."""
    seconds = []
    with torch.no_grad():
        for _ in range(50):
            began = time.perf_counter()
            torch.nn.functional.conv2d(pixels, weights)
            seconds.append(time.perf_counter() - began)
    return 2e-9 * 4096 * 1024 * 1024 / statistics.median(seconds[10:])


def petnet(program):
    told = json.loads(subprocess.run([program, "peaks", "--device", "cpu", "--dtype", "fp32"], check=True,
                                     capture_output=True, text=True).stdout)
    return {"copy": told["copy_gb_per_s"], "fma": told["fma_gflop_per_s"], "gemm": told["gemm_gflop_per_s"]["fp32"]}


def table(result):
    """Markdown, of a file in bench/results."""
    ours, theirs = result["rounds"]["petnet"], result["rounds"]["others"]
    names = {"copy": f"copy, GB/s ({result['likwid']})", "fma": f"FMA, GFLOP/s ({result['likwid']})",
             "gemm": f"GEMM, GFLOP/s (PyTorch {result['torch']})"}
    lines = ["| | petnet-bench | the other | ratio | least | most |", "|---|---|---|---|---|---|"]
    for key, name in names.items():
        ratios = [a[key] / b[key] for a, b in zip(ours, theirs)]
        lines.append(f"| {name} | {statistics.median(r[key] for r in ours):.1f} |"
                     f" {statistics.median(r[key] for r in theirs):.1f} | {statistics.median(ratios):.3f} |"
                     f" {min(ratios):.3f} | {max(ratios):.3f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    import torch
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    pixels, weights = (torch.rand(dims).to(memory_format=torch.channels_last)
                       for dims in ((16, 1024, 16, 16), (1024, 1024, 1, 1)))
    copies, multiply_add = widest()

    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours.append(petnet(arguments.program))
        theirs.append({"copy": max(likwid(kind + copies, "1GB", "MByte/s", threads) for kind in ("copy", "copy_mem")),
                       "fma": likwid("peakflops_sp" + multiply_add, "32kB", "MFlops/s", threads),
                       "gemm": product(torch, pixels, weights)})
    version = subprocess.run(["likwid-bench", "-v"], capture_output=True, text=True).stdout.strip().splitlines()[-1]
    result = {**circumstances(), "command": command(), "threads": threads, "likwid": version.replace(" -- Version", ""),
              "torch": torch.__version__, "rounds": {"petnet": ours, "others": theirs}}
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
