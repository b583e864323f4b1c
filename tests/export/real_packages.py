#!/usr/bin/env python3
"""Exports a model and reads it with ONNX Runtime, PyTorch, fastai and MLflow: real_packages.py PETNET PHOTOGRAPHS.

Part of the long run of the tests: pip installs their packages (some gigabytes).
Photographs are cut and resized beforehand, so that every program sees the same bytes.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
import peer_packages  # noqa: E402 (the folder is named above)

PACKAGES = ["onnx", "onnxruntime", "mlflow", "torch", "torchvision", "fastai", "pillow"]
PHOTOGRAPHS = 50
LIMIT = 1e-4  # of the largest logit of a photograph


def into_environment():
    peer_packages.require_long_run()
    if "PETNET_IN_ENVIRONMENT" not in os.environ:
        python = os.path.join(peer_packages.environment("export", PACKAGES), "python")
        sys.exit(subprocess.run([python, *sys.argv], env=dict(os.environ, PETNET_IN_ENVIRONMENT="1")).returncode)


def squares(photographs, size, folder):
    """PNG files of the centre squares as fastai's Resize cuts them; their pixels (count, size, size, 3)."""
    import numpy as np
    from PIL import Image
    folder.mkdir()
    pixels = []
    names = sorted(Path(photographs).glob("*.jpg"))
    for name in names[:: max(1, len(names) // PHOTOGRAPHS)][:PHOTOGRAPHS]:
        image = Image.open(name).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.BILINEAR)
        image.save(folder / (name.stem + ".png"))
        pixels.append(np.asarray(image))
    return np.stack(pixels)


class Comparison:
    def __init__(self, expected):
        self.expected, self.bad = expected, 0

    def __call__(self, what, logits):
        import numpy as np
        scale = np.abs(self.expected).max(axis=1, keepdims=True)
        worst = float((np.abs(np.asarray(logits) - self.expected) / scale).max())
        self.bad += not worst <= LIMIT
        print(f"{'ok ' if worst <= LIMIT else 'BAD'} {what}: {len(logits)} photographs, largest relative difference {worst:.1e}")


def resnet34_with_head(classes):
    """torchvision's ResNet-34 whose head has petnet's names."""
    import torch
    import torchvision

    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bn1, self.fc1 = torch.nn.BatchNorm1d(1024), torch.nn.Linear(1024, 512, bias=False)
            self.bn2, self.fc2 = torch.nn.BatchNorm1d(512), torch.nn.Linear(512, classes, bias=False)

        def forward(self, x):
            pooled = torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1)
            return self.fc2(self.bn2(torch.relu(self.fc1(self.bn1(pooled)))))

    model = torchvision.models.resnet34()
    del model.fc
    model.head = Head()
    model.forward = lambda x: model.head(model.layer4(model.layer3(model.layer2(model.layer1(
        model.maxpool(model.relu(model.bn1(model.conv1(x)))))))))
    return model


def check_recipe(petnet, photographs, recipe, work):
    import numpy as np
    import onnx
    import onnxruntime
    import torch

    def run(*words):
        return subprocess.run([petnet, *map(str, words)], check=True, capture_output=True, text=True).stdout

    size = 64
    run("train", "--labels", "breed", "--size", size, "--batch-size", 16, "--epochs", 1, "--lr", "3e-3",
        "--recipe", recipe, "--output", work / "out", "--quiet")
    run("export", "--model", work / "out", "--onnx", work / "tensor.onnx", "--mlflow", work / "mlflow",
        "--torch", work / "vision.pth", "--safetensors", work / "half.safetensors", "--half")
    run("export", "--model", work / "out", "--onnx", work / "pixels.onnx", "--preprocess", "--mlflow",
        work / "mlflow-pixels", "--torch", work / "fastai.pth", "--naming", "fastai")
    meta = {p.key: p.value for p in onnx.load(work / "tensor.onnx").metadata_props}
    pixels = squares(photographs, int(meta["photo_size"]), work / "squares")
    answers = [json.loads(line) for line in run("predict", "--model", work / "out", "--json", work / "squares").splitlines()]
    compare = Comparison(np.array([a["logits"] for a in answers]))
    classes = json.loads(meta["classes"])
    assert list(answers[0]["probabilities"]) == classes and len(classes) == 37

    def session(name):
        onnx.checker.check_model(str(work / name), full_check=True)
        return onnxruntime.InferenceSession(str(work / name), providers=["CPUExecutionProvider"])

    compare(f"{recipe}: ONNX Runtime, pixels", session("pixels.onnx").run(None, {"pixels": pixels})[0])
    one_by_one = [session("pixels.onnx").run(None, {"pixels": pixels[i:i + 1]})[0][0] for i in range(3)]
    np.testing.assert_allclose(one_by_one, compare.expected[:3], rtol=0, atol=LIMIT * np.abs(compare.expected[:3]).max())

    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    if image.shape[-1] != size:  # fastai's _grid_sample
        from torch.nn import functional as F
        shrink = image.shape[-1] / size / 2
        if shrink > 1:
            image = F.interpolate(image, scale_factor=1 / shrink, mode="area", recompute_scale_factor=True)
        grid = F.affine_grid(torch.eye(2, 3).expand(len(image), 2, 3), (len(image), 3, size, size), align_corners=True)
        image = F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
    mean, std = (torch.tensor(json.loads(meta[k])).view(1, 3, 1, 1) for k in ("mean", "std"))
    image = (image - mean) / std
    compare(f"{recipe}: ONNX Runtime, normalised", session("tensor.onnx").run(None, {"input": image.numpy()})[0])

    vision = resnet34_with_head(len(classes)).eval()
    vision.load_state_dict(torch.load(work / "vision.pth", weights_only=True))
    with torch.no_grad():
        compare(f"{recipe}: PyTorch, torchvision's names", vision(image).numpy())

    from fastai.vision.all import CategoryBlock, DataBlock, ImageBlock, Resize, resnet34, vision_learner
    names = sorted((work / "squares").glob("*.png"))
    block = DataBlock(blocks=(ImageBlock, CategoryBlock(vocab=classes)), get_items=lambda _: names,
                      get_y=lambda _: classes[0], item_tfms=Resize(size))
    learn = vision_learner(block.dataloaders(work, bs=8, num_workers=0), resnet34, n_out=len(classes), pretrained=False,
                           path=work, model_dir=".")
    learn.load("fastai")
    learn.model.eval()
    with torch.no_grad():
        compare(f"{recipe}: fastai's learn.load", learn.model(image).numpy())

    import mlflow
    for folder, taken in (("mlflow", image.numpy()), ("mlflow-pixels", pixels)):
        model = mlflow.pyfunc.load_model(str(work / folder))
        assert model.metadata.signature is not None
        compare(f"{recipe}: MLflow, {folder}", model.predict(taken)["logits"])

    from safetensors.torch import load_file
    half = load_file(work / "half.safetensors")
    assert all(t.dtype == torch.float16 for t in half.values())
    vision.load_state_dict({k: v.float() for k, v in half.items()}, strict=False)
    with torch.no_grad():
        same = (vision(image).numpy().argmax(1) == compare.expected.argmax(1)).mean()
    print(f"    {recipe}: float16 safetensors in PyTorch give the same label for {same:.0%}")
    return compare.bad


def main():
    into_environment()
    petnet, photographs = sys.argv[1:]
    bad = 0
    for recipe in ("basic", "augmented"):
        with tempfile.TemporaryDirectory() as work:
            bad += check_recipe(petnet, photographs, recipe, Path(work))
    sys.exit(1 if bad else 0)


main()
