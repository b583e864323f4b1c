# SPDX-License-Identifier: Apache-2.0
"""Records what fastai's own Learner.lr_find answers: tests/train/lr_find.json.

usage: record_lr_find.py WEIGHTS [SEED...] > lr_find.json        (pip install fastai==2.8.12 safetensors zstandard)

Scripted losses (a learner whose loss function returns them, one a step) and real runs: the embedded sample from the
embedded weights (data/sample), frozen, at the settings of ./dev train, one for each seed (1 to 5). For each: the loss of
every step that fastai made (null: not a number), its smoothed losses, and its suggestion (null: it raised an error, for
want of points).
"""
import json
import math
import pathlib
import sys
import warnings

import numpy as np
import safetensors.torch
import torch
import zstandard
from fastai.callback.core import Callback
from fastai.vision.all import (DataLoaders, DataLoader, ImageDataLoaders, Learner, Normalize, Resize, get_image_files,
                               imagenet_stats, resnet34, set_seed, vision_learner)

STEPS = 100
warnings.filterwarnings("ignore")


class StepLosses(Callback):
    order = 55  # before LRFinder ends the fit

    def before_fit(self):
        self.values = []

    def after_batch(self):
        self.values.append(float(self.learn.loss))


def number(value):
    return float(f"{value:.9g}") if math.isfinite(value) else None if math.isnan(value) else str(value)


def record(name, learner):
    losses = StepLosses()
    learner.add_cb(losses)
    try:
        with learner.no_bar():
            suggestion = learner.lr_find(show_plot=False).valley
    except IndexError:
        suggestion = None
    recorder = learner.recorder
    assert len(losses.values) == len(recorder.losses)
    print(name, len(losses.values), suggestion, file=sys.stderr, flush=True)
    return {"name": name, "suggestion": suggestion, "step_losses": [number(v) for v in losses.values],
            "smoothed": [number(float(v)) for v in recorder.losses]}, [float(v) for v in recorder.lrs]


def scripted(losses):
    step = iter(losses)
    batches = DataLoader(list(zip(torch.zeros(6, 1), torch.zeros(6, 1))), bs=2)
    model = torch.nn.Linear(1, 1)
    return Learner(DataLoaders(batches, batches), model,
                   loss_func=lambda prediction, target: prediction.sum() * 0 + float(next(step)))


def scripts():
    i = np.arange(STEPS)
    noise = np.random.default_rng(1).normal(size=STEPS)
    valley = 0.9 - 0.4 * np.exp(-((i - 60) / 15.0) ** 2) + np.exp((i - 80) / 4.0)
    yield "one valley", valley
    yield "a noisy valley", valley + 0.1 * noise
    yield "noise alone", 0.7 + 0.2 * noise
    yield "two valleys", 1 - 0.3 * np.exp(-((i - 30) / 8.0) ** 2) - 0.2 * np.exp(-((i - 70) / 12.0) ** 2)
    yield "falls from the first step to the last", 2 - i / 60
    yield "rises from the first step to the last", 0.5 + i / 300
    yield "the same at every step", np.full(STEPS, 0.7)
    yield "falls once, behind the points left out", np.where(i < 10, 1.0, np.where(i == 11, 0.9, 1 + i / 50))
    yield "falls twice", np.where(i < 10, 1.0, np.where((i == 11) | (i == 12), 0.5, 1 + i / 50))
    yield "not a number from step 40", np.where(i < 40, 1 - i / 100, np.nan)
    yield "not a number from step 10", np.where(i < 10, 1 - i / 100, np.nan)
    yield "not a number from step 11", np.where(i < 11, 1 - i / 100, np.nan)
    yield "not a number within the points left out", np.where(i < 97, 1 - i / 100, np.nan)
    yield "infinite from step 50", np.where(i < 50, 1 - i / 100, np.inf)
    yield "diverges at step 12", np.where(i < 12, 1.0, 1000.0)
    yield "diverges at step 14", np.where(i < 14, 1.0, 1000.0)
    yield "diverges at step 15", np.where(i < 15, 1.0, 1000.0)
    yield "diverges at step 30", np.where(i < 30, 1.0 - 0.01 * i, 1000.0)


def sample(seed, weights, folder):
    set_seed(seed, reproducible=True)
    data = ImageDataLoaders.from_name_func(
        folder, get_image_files(folder / "images"), lambda name: "cat" if name[0].isupper() else "dog", seed=seed,
        item_tfms=Resize(128), batch_tfms=Normalize.from_stats(*imagenet_stats), bs=16, num_workers=0)
    learner = vision_learner(data, resnet34, pretrained=False, path=folder, model_dir=pathlib.Path("/tmp/lr_find"))
    places = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    body = {}
    for name, value in weights.items():
        module, rest = name.split(".", 1)
        body[f"{places[module]}.{rest}"] = value.float()
    missing, unexpected = learner.model[0].load_state_dict(body, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    learner.freeze()
    return learner


if len(sys.argv) < 2:
    sys.exit(__doc__)
root = pathlib.Path(__file__).resolve().parents[2] / "data/sample"
loaded = safetensors.torch.load(zstandard.ZstdDecompressor().stream_reader(open(sys.argv[1], "rb")).read())
records = []
for name, losses in scripts():
    entry, rates = record(name, scripted(losses))
    if len(rates) == STEPS:
        all_rates = rates
    records.append(entry)
for seed in map(int, sys.argv[2:] or range(1, 6)):
    records.append(record(f"the embedded sample, seed {seed}", sample(seed, loaded, root))[0])
lines = ",\n".join(json.dumps(entry) for entry in records)
print(f'{{"fastai": "2.8.12", "lr": {json.dumps([number(rate) for rate in all_rates])},\n"curves": [\n{lines}\n]}}')
