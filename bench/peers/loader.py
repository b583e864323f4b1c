# SPDX-License-Identifier: Apache-2.0
"""petnet's loader against torchvision's DataLoader with Pillow, and the same with OpenCV: whole epochs, taking turns.

usage: loader.py LOADER_EPOCHS_PROGRAM FOLDER [--rounds 5] [--copies 8] [--json FILE]
(pip install pillow torch torchvision opencv-python-headless)

All read the same files (copies of each photograph of FOLDER, so that an epoch lasts, each with its number behind the
picture's end, so that petnet's cache takes them for different ones), cut a random largest square, resize it to 224 and
deliver shuffled batches of 64 in 8 bits a channel, with as many workers as there are cores. The other loaders' workers
live from epoch to epoch and their first epoch is not counted; petnet's first epoch is a new program each time and hashes
the files as well. OpenCV resizes by INTER_LINEAR, which is fast and aliases, and by INTER_AREA, which does not. Prints a Markdown table of the medians over the rounds and of each round's ratios.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import cv2
import PIL
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional

from worker import circumstances

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("program")
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--copies", type=int, default=8)
parser.add_argument("--json", type=pathlib.Path)
arguments = parser.parse_args()
program, folder, rounds = arguments.program, arguments.folder, arguments.rounds
folder = folder / "images" if (folder / "images").is_dir() else folder
size, batch_size, copies = 224, 64, arguments.copies
workers = len(os.sched_getaffinity(0))


def random_square(width, height):
    side = min(width, height)
    return random.randint(0, width - side), random.randint(0, height - side), side


class Photographs(Dataset):
    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)


class PillowPhotographs(Photographs):
    def __getitem__(self, index):
        image = Image.open(self.files[index]).convert("RGB")
        left, top, side = random_square(*image.size)
        square = functional.resized_crop(image, top, left, side, side, [size, size])
        return functional.pil_to_tensor(square), 0


class OpenCvPhotographs(Photographs):
    def __init__(self, files, interpolation):
        super().__init__(files)
        self.interpolation = interpolation

    def __getitem__(self, index):
        cv2.setNumThreads(0)
        image = cv2.imread(str(self.files[index]), cv2.IMREAD_COLOR_RGB)
        left, top, side = random_square(image.shape[1], image.shape[0])
        square = cv2.resize(image[top : top + side, left : left + side], (size, size), interpolation=self.interpolation)
        return torch.from_numpy(square), 0


def loader_of(photographs):
    return DataLoader(photographs, batch_size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=True)


def epoch(loader):
    began = time.perf_counter()
    delivered = sum(len(labels) for _, labels in loader)
    return delivered / (time.perf_counter() - began)


def petnet(cache):
    command = [program, photographs, str(size), str(workers), cache]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


with tempfile.TemporaryDirectory() as place:
    photographs = pathlib.Path(place) / "photographs"
    photographs.mkdir()
    originals = sorted(folder.rglob("*.jpg"))
    for path in originals:
        for copy in range(copies):
            (photographs / f"{copy}_{path.name}").write_bytes(path.read_bytes() + str(copy).encode())
    files = sorted(photographs.iterdir())
    others = {
        "torchvision": loader_of(PillowPhotographs(files)),
        "opencv_linear": loader_of(OpenCvPhotographs(files, cv2.INTER_LINEAR)),
        "opencv_area": loader_of(OpenCvPhotographs(files, cv2.INTER_AREA)),
    }
    for loader in others.values():
        epoch(loader)
    measured = []
    for number in range(rounds):
        one = {f"petnet_{name}": value for name, value in petnet(f"{place}/cache{number}").items()}
        one.update({name: epoch(loader) for name, loader in others.items()})
        measured.append(one)

median = statistics.median
print(f"{len(files)} files ({len(originals)} photographs), {rounds} rounds, {workers} workers, to {size} x {size}\n")
print("| | images/s | least | most | times torchvision | times OpenCV, linear | area |\n|---|---|---|---|---|---|---|")
for name in measured[0]:
    values = [one[name] for one in measured]
    ratios = [median(one[name] / one[other] for one in measured) for other in others]
    print(f"| {name} | {median(values):.0f} | {min(values):.0f} | {max(values):.0f} | "
          + " | ".join(f"{r:.2f}" for r in ratios) + " |")
if arguments.json:
    result = circumstances() | {
        "command": f"bench/peers/loader.py build/release/bench/loader_epochs {folder} --rounds {rounds} --copies {copies}",
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": PIL.__version__,
                     "opencv": cv2.__version__},
        "files": len(files), "photographs": len(originals), "size": size, "workers": workers, "images_per_second": measured,
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
