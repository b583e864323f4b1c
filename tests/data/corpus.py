#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small pictures of every kind, made here, and what petnet makes of them: corpus.py PRINT_PIXELS [--pillow|--update].

Compares the pixels' hashes, or the reason of a refusal, with corpus.tsv. --pillow, part of the long run, compares them with
Pillow's instead, which pip installs; --update writes corpus.tsv anew, to be done after --pillow.
"""
import hashlib
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import peer_packages  # noqa: E402 (the folder is named above)
from corpus_pictures import pictures  # noqa: E402

TABLE = HERE / "corpus.tsv"
PACKAGES = ["pillow==13.0.0"]
# Where only one of the two reads the file, and why.
DIFFERENT = {
    "png_ends_after_two_rows.png": "Pillow shows black rows where the compressed data stop at the end of a row",
    "png_palette_missing.png": "Pillow shows black",
    "tiff_lab.tif": "Pillow has LittleCMS for it",
    "tiff_cut_by_40.tif": "Pillow takes the fields that are left of a directory cut short",
    "tiff_taller_than_its_data.tif": "Pillow shows black where a strip is missing",
}


def say_of(pixels, width, height):
    return f"{width}x{height} {hashlib.sha256(pixels).hexdigest()[:16]}"


def of_petnet(program, paths):
    said = {}
    run = subprocess.run([program, *map(str, paths)], stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{program} ended with {run.returncode}")
    for line in run.stdout.splitlines():
        name, *rest = line.split("\t")
        said[name] = "refused: " + rest[1] if rest[0] == "refused" else f"{rest[0]}x{rest[1]} {rest[2][:16]}"
    return said


def of_pillow(paths):
    import warnings

    from PIL import Image
    warnings.simplefilter("ignore")
    said = {}
    for path in paths:
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                shown = image.convert("RGB")
                said[path.name] = say_of(shown.tobytes(), shown.width, shown.height)
        except Exception as problem:  # of many kinds
            said[path.name] = f"refused: {problem}"
    return said


def compare_with_pillow(said, paths):
    if "PETNET_IN_ENVIRONMENT" not in os.environ:
        peer_packages.require_long_run()
        python = os.path.join(peer_packages.environment("pillow", PACKAGES), "python")
        sys.exit(subprocess.run([python, *sys.argv], env=dict(os.environ, PETNET_IN_ENVIRONMENT="1")).returncode)
    bad = 0
    for name, expected in of_pillow(paths).items():
        refused = [of.startswith("refused: ") for of in (said[name], expected)]
        good = refused[0] != refused[1] if name in DIFFERENT else all(refused) or said[name] == expected
        if not good:
            bad += 1
            print(f"{name}: petnet: {said[name]}, Pillow: {expected}")
    print(f"{len(paths)} pictures compared with Pillow, {bad} differ")
    return bad


def compare_with_table(said):
    expected = dict(line.split("\t") for line in TABLE.read_text().splitlines())
    bad = [name for name in sorted(said.keys() | expected.keys()) if said.get(name) != expected.get(name)]
    for name in bad:
        print(f"{name}: now {said.get(name)}, in corpus.tsv {expected.get(name)}")
    print(f"{len(said)} pictures, {len(bad)} differ from corpus.tsv")
    return len(bad)


def main():
    program, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        made = pictures()
        paths = [Path(folder) / name for name in sorted(made)]
        for path in paths:
            path.write_bytes(made[path.name])
        said = of_petnet(program, paths)
        assert len(said) == len(paths) >= 150, len(said)
        assert all(reason not in ("refused: ", "refused") for reason in said.values())
        if "--pillow" in options:
            sys.exit(compare_with_pillow(said, paths) != 0)
        if "--update" in options:
            TABLE.write_text("".join(f"{name}\t{said[name]}\n" for name in sorted(said)))
        sys.exit(compare_with_table(said) != 0)


main()
