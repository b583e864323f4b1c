#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""petnet's loader against torchvision's DataLoader with Pillow, and the same with OpenCV: whole epochs, taking turns.

usage: loader.py LOADER_EPOCHS_PROGRAM FOLDER [--rounds 5] [--copies 8] [--json FILE]
(pip install pillow torch torchvision opencv-python-headless)

All read the same files (copies of each photograph of FOLDER, so that an epoch lasts, each with its number behind the
picture's end, so that petnet's cache takes them for different ones), cut a random largest square, resize it to 224 and
deliver shuffled batches of 64 in 8 bits a channel, with as many workers as there are cores. The other loaders' workers
live from epoch to epoch and their first epoch is not counted; petnet's first epoch is a new program each time and hashes
the files as well. OpenCV resizes by INTER_LINEAR, which is fast and aliases, and by INTER_AREA, which does not. Prints a Markdown table of the
medians over the rounds and of each round's ratios.
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

from worker import circumstances, portable

SIZE, BATCH_SIZE = 224, 64
NAMES = {
    "petnet_first": "petnet, first epoch", "petnet_memory": "petnet, later epochs, from memory",
    "petnet_later_run": "petnet, first epoch of a later run, from its file", "petnet_file": "petnet, later epochs, from its file",
    "torchvision": "torchvision with Pillow", "opencv_linear": "OpenCV, linear", "opencv_area": "OpenCV, area",
}
OTHERS = ["torchvision", "opencv_linear", "opencv_area"]


def random_square(width, height):
    side = min(width, height)
    return random.randint(0, width - side), random.randint(0, height - side), side


def other_loaders(files, workers):
    """torchvision's DataLoader, over three ways to read a photograph. {name: DataLoader}"""
    import cv2
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import functional

    def by_pillow(path):
        image = Image.open(path).convert("RGB")
        left, top, side = random_square(*image.size)
        return functional.pil_to_tensor(functional.resized_crop(image, top, left, side, side, [SIZE, SIZE]))

    def by_opencv(interpolation):
        def read(path):
            cv2.setNumThreads(0)
            image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            left, top, side = random_square(image.shape[1], image.shape[0])
            square = image[top : top + side, left : left + side]
            return torch.from_numpy(cv2.resize(square, (SIZE, SIZE), interpolation=interpolation))

        return read

    class Photographs(Dataset):
        def __init__(self, read):
            self.read = read

        def __len__(self):
            return len(files)

        def __getitem__(self, index):
            return self.read(files[index]), 0

    readers = [by_pillow, by_opencv(cv2.INTER_LINEAR), by_opencv(cv2.INTER_AREA)]
    return {name: DataLoader(Photographs(reader), BATCH_SIZE, shuffle=True, drop_last=True, num_workers=workers,
                             persistent_workers=True) for name, reader in zip(OTHERS, readers)}


def versions():
    import cv2
    import PIL
    import torch
    import torchvision

    return {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": PIL.__version__,
            "opencv": cv2.__version__}


def epoch(loader):
    began = time.perf_counter()
    delivered = sum(len(labels) for _, labels in loader)
    return delivered / (time.perf_counter() - began)


def measure(program, folder, copies, rounds):
    workers = len(os.sched_getaffinity(0))
    images = folder / "images" if (folder / "images").is_dir() else folder
    with tempfile.TemporaryDirectory() as place:
        photographs = pathlib.Path(place) / "photographs"
        photographs.mkdir()
        originals = sorted(images.rglob("*.jpg"))
        for path in originals:
            for copy in range(copies):
                (photographs / f"{copy}_{path.name}").write_bytes(path.read_bytes() + str(copy).encode())
        files = sorted(photographs.iterdir())

        def petnet(cache):
            command = [program, photographs, str(SIZE), str(workers), cache]
            answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            return {f"petnet_{name}": value for name, value in answer.items()}

        others = other_loaders(files, workers)
        for loader in others.values():
            epoch(loader)
        measured = [petnet(f"{place}/cache{number}") | {name: epoch(loader) for name, loader in others.items()}
                    for number in range(rounds)]
    return circumstances() | {
        "command": f"bench/peers/loader.py build/release/bench/loader_epochs {portable(folder)} --rounds {rounds} --copies {copies}",
        "versions": versions(), "files": len(files), "photographs": len(originals), "size": SIZE, "workers": workers,
        "images_per_second": measured,
    }


def table(result):
    measured, median = result["images_per_second"], statistics.median
    lines = ["| | images/s | least | most | times torchvision | times OpenCV, linear | area |", "|---|---|---|---|---|---|---|"]
    for name in measured[0]:
        values = [one[name] for one in measured]
        ratios = [median(one[name] / one[other] for one in measured) for other in OTHERS]
        lines.append(f"| {NAMES[name]} | {median(values):.0f} | {min(values):.0f} | {max(values):.0f} | "
                     + " | ".join(f"{r:.2f}" for r in ratios) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    result = measure(arguments.program, arguments.folder, arguments.copies, arguments.rounds)
    print(f"{result['files']} files ({result['photographs']} photographs), {arguments.rounds} rounds, "
          f"{result['workers']} workers, to {SIZE} x {SIZE}\n")
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
