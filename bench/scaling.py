#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scaling.py: estimates for docs/scaling.md, the unfrozen step of ResNet-34 at 224x224 on 1, 2 and 4 ranks. Nothing
here is measured on several GPUs.

A step on one rank takes T1 = batch / rate: a third forward, two thirds backward. Gradients leave in buckets of at least
8 MB in backward order (model/gradient_buckets.hpp); bucket i is ready when its layers' share of the backward pass is
done, and takes 2 (n - 1) / n * bytes / (0.85 * link) to average, one after the other. The step ends when the last one is
there. The last layers hold most of the bytes, and each stage about as much of the backward pass as another."""

RATES = {"T4": 780, "A100": 5100, "H100": 13000}  # img/s of one GPU, unfrozen, 16 bits
LINKS = (10, 25, 100, 400)  # Gb/s each way
BATCH = 64  # of each rank
FORWARD, EFFICIENCY = 1 / 3, 0.85

# Megabytes of float32 gradients of the head and each stage, and its share of the backward pass: 3x3 convolutions of
# ResNet-34's stages cost nearly the same a block.
STAGES = (("head", 2.1, 0.0), ("layer4", 52.5, 3 / 16.5), ("layer3", 27.3, 6 / 16.5), ("layer2", 4.5, 4 / 16.5),
          ("layer1, stem", 0.9, 3.5 / 16.5))
BUCKET = 8.4


def buckets():
    """(megabytes, share of the backward pass after which it is ready)"""
    done, waiting = 0.0, 0.0
    for _, size, share in STAGES:
        pieces = max(1, round(size / BUCKET))
        for _ in range(pieces):
            done += share / pieces
            waiting += size / pieces
            if waiting >= BUCKET * 0.95:
                yield waiting, done
                waiting = 0.0
    yield waiting, 1.0


def step(rate, ranks, link):
    alone = BATCH / rate
    end = 0.0
    for size, ready in buckets():
        seconds = 2 * (ranks - 1) / ranks * size * 8e-3 / (EFFICIENCY * link)
        end = max(end, alone * (FORWARD + (1 - FORWARD) * ready)) + seconds
    return max(alone, end)


print("| one GPU | step, ms | ranks | " + " | ".join(f"{link} Gb/s" for link in LINKS) + " |")
print("|---|---|---|" + "---|" * len(LINKS))
for name, rate in RATES.items():
    for ranks in (2, 4):
        times = [ranks * (BATCH / rate) / step(rate, ranks, link) for link in LINKS]
        print(f"| {name}, {rate} img/s | {1e3 * BATCH / rate:.1f} | {ranks} | " + " | ".join(f"{t:.1f}" for t in times) + " |")
