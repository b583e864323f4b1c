#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""petnet's photo path against Pillow and torchvision's transforms: one thread each, the same files, taking turns.

usage: photo_path.py PETNET_BENCH FOLDER [--rounds 7] [--json FILE]   (pip install pillow torch torchvision)

Both read, decode, cut the centre square, resize it to 224 with anti-aliasing and normalise it into a float tensor.
Prints a Markdown table of the medians over the rounds, and the ratio of each round's pair.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from worker import circumstances

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("program")
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--json", type=pathlib.Path)
arguments = parser.parse_args()
program, folder, rounds = arguments.program, arguments.folder, arguments.rounds
folder = folder / "images" if (folder / "images").is_dir() else folder
files = sorted(path for path in folder.rglob("*.jpg"))[:64]  # petnet-bench takes as many
size = 224
torch.set_num_threads(1)
to_tensor = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
)


def pillow_pass():
    """Images per second, by fastai's own geometry."""
    began = time.perf_counter()
    for path in files:
        image = Image.open(path).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        cut = image.crop((left, top, left + side, top + side)).resize((size, size), Image.BILINEAR)
        to_tensor(cut)
    return len(files) / (time.perf_counter() - began)


def petnet_pass():
    """Of one photograph: the medians of petnet-bench's samples."""
    with tempfile.NamedTemporaryFile() as found:
        subprocess.run([program, "--photographs", folder, "--size", str(size), "--filter", "^photo/", "--device",
                        "reference", "--quick", "--json", found.name], check=True, stdout=subprocess.DEVNULL)
        cases = json.loads(pathlib.Path(found.name).read_text(encoding="utf-8"))["cases"]
    seconds = {case["label"]: case["hot"]["median"] for case in cases}
    return {"images_per_second": 1 / seconds["path"]} | {f"{part}_ms": 1e3 * value for part, value in seconds.items()}


pillow_pass()
ours, theirs = [], []
for _ in range(rounds):
    ours.append(petnet_pass())
    theirs.append(pillow_pass())
ratios = [a["images_per_second"] / b for a, b in zip(ours, theirs)]
median = statistics.median
print(f"{len(files)} photographs, {rounds} rounds, one thread, to {size} x {size}\n")
print("| | images/s per core | least | most |\n|---|---|---|---|")
for name, values in [
    ("petnet", [o["images_per_second"] for o in ours]),
    (f"Pillow {PIL.__version__} + torchvision {torchvision.__version__}", theirs),
    ("ratio", ratios),
]:
    print(f"| {name} | {median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
print("\npetnet, milliseconds a photograph: " + ", ".join(
    f"{key[:-3]} {median([o[key] for o in ours]):.3f}" for key in ours[0] if key.endswith("_ms")
))
if arguments.json:
    result = circumstances() | {"photographs": len(files), "size": size, "pillow": PIL.__version__,
                                "torchvision": torchvision.__version__, "petnet": ours, "pillow_images_per_second": theirs,
                                "ratio": {"median": median(ratios), "least": min(ratios), "most": max(ratios)}}
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
