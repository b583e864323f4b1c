"""What fastai's aug_transforms make of photographs more than twice as large as the output, which they shrink first.

usage: resample.py OUT_FILE IMAGE_DIR   (pip install torch torchvision fastai safetensors)
"""
import sys
import numpy as np, torch
from safetensors.torch import save_file
from fastai.vision.all import *
from fastai.vision.augment import setup_aug_tfms

out, root = Path(sys.argv[1]), Path(sys.argv[2])
files = sorted(root.glob("*.jpg"))[:3]
draws = dict(flip=[1., 0., 1.], warp_x=[-.2, .1, .05], warp_y=[.03, -.17, .2], rotate_deg=[-9., 4., 0.], zoom=[1., 1.1, 1.03],
             zoom_x=[.5, .1, .9], zoom_y=[.2, .8, .5], brightness=[.4, .55, .6], contrast=[.9, 1.1, 1.2])
tensors = {name: torch.tensor(values) for name, values in draws.items()}
size = 56  # a quarter of 224: 115 is to it as 460 is to 224
for side in (115, 190):
    squares = [np.asarray(Resize(side, method="squish").encodes(PILImage.create(f))) for f in files]
    tensors[f"pixels_{side}"] = torch.from_numpy(np.stack(squares))
    images = lambda: TensorImage(tensors[f"pixels_{side}"].permute(0, 3, 1, 2).float() / 255)
    valid = images()
    for transform in aug_transforms(size=size): valid = transform(valid, split_idx=1)
    tensors[f"valid_{side}"] = valid.data
    kw = dict(size=size, mode="bilinear", pad_mode="reflection", align_corners=True)
    d = draws
    train = images()
    for transform in setup_aug_tfms([Flip(p=1., draw=d["flip"], **kw), Warp(p=1., draw_x=d["warp_x"], draw_y=d["warp_y"], **kw),
                                     Rotate(p=1., draw=d["rotate_deg"], **kw),
                                     Zoom(p=1., draw=d["zoom"], draw_x=d["zoom_x"], draw_y=d["zoom_y"], **kw),
                                     Brightness(p=1., draw=d["brightness"]), Contrast(p=1., draw=d["contrast"])]):
        train = transform(train, split_idx=0)
    tensors[f"train_{side}"] = train.data
save_file({name: (t.half() if t.dim() == 4 and t.is_floating_point() else t).contiguous() for name, t in tensors.items()}, out)
for name, t in tensors.items(): print(name, tuple(t.shape))
