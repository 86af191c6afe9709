"""The networks written once more, in NumPy and float64: what stages should find on frames without a
reference.

Slow and plain on purpose. test_oracle.py holds it against the torch references; tests of whole
stages then compare with it, whatever the frames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.tiny import CONVOLUTIONS

Array = NDArray[np.float64]
Weights = Mapping[str, Array]

MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
STD = np.array([0.26862954, 0.26130258, 0.27577711])
_LPIPS_SHIFT = np.array([-0.030, -0.088, -0.188])
_LPIPS_SCALE = np.array([0.458, 0.448, 0.450])
_BLOCKS = (2, 2, 3, 3, 3)  # convolutions before each feature of VGG16


@cache
def weights(folder: Path) -> Weights:
    """The tensors of a model in float64."""
    from safetensors.numpy import load_file

    return {
        name: tensor.astype(np.float64)
        for name, tensor in load_file(folder / "model.safetensors").items()
    }


def unit(rows: Array) -> Array:
    """The rows scaled to length 1."""
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def pixels(frame: NDArray[np.uint8]) -> Array:
    """CLIP's published preprocessing, (3, 224, 224): shorter side 224 (bicubic), centre crop,
    OpenAI's constants.
    """
    from PIL import Image

    height, width = frame.shape[:2]
    long = int(224 * max(height, width) / min(height, width))
    size = (224, long) if width <= height else (long, 224)
    image = Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    cropped = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float64) / 255
    return ((cropped - MEAN) / STD).transpose(2, 0, 1)


def image_features(folder: Path, images: NDArray[Any]) -> Array:
    """Projected features, not normalised, of preprocessed images (n, 3, h, w); (n, dim)."""
    w, config = weights(folder), _config(folder)["vision_config"]
    name, patch = "vision_model.embeddings", config["patch_size"]
    count, _, height, width = images.shape
    cut = images.reshape(count, 3, height // patch, patch, width // patch, patch).transpose(
        0, 2, 4, 1, 3, 5
    )
    patches = (
        cut.reshape(count, -1, 3 * patch * patch)
        @ w[f"{name}.patch_embedding.weight"].reshape(config["hidden_size"], -1).T
    )
    first = np.broadcast_to(w[f"{name}.class_embedding"], (count, 1, config["hidden_size"]))
    states = np.concatenate([first, patches], axis=1) + w[f"{name}.position_embedding.weight"]
    states = _norm(w, "vision_model.pre_layrnorm", states)
    states = _encoder(w, "vision_model", config, states, causal=False)
    return _norm(w, "vision_model.post_layernorm", states[:, 0]) @ w["visual_projection.weight"].T


def text_features(folder: Path, ids: NDArray[Any]) -> Array:
    """Projected features, not normalised, of token ids (n, 77), taken at the first end-of-text; (n,
    dim).
    """
    w, config = weights(folder), _config(folder)["text_config"]
    name = "text_model.embeddings"
    states = (
        w[f"{name}.token_embedding.weight"][ids]
        + w[f"{name}.position_embedding.weight"][: ids.shape[1]]
    )
    states = _encoder(w, "text_model", config, states, causal=True)
    ends = states[np.arange(len(ids)), ids.argmax(axis=1)]
    return _norm(w, "text_model.final_layer_norm", ends) @ w["text_projection.weight"].T


def logit_scale(folder: Path) -> float:
    """What CLIP multiplies cosines by."""
    return float(np.exp(weights(folder)["logit_scale"]))


def aesthetic(folder: Path, units: Array) -> Array:
    """LAION's linear aesthetic score of unit embeddings (n, 768); (n,)."""
    w, rows = weights(folder), units
    for layer in (0, 2, 4, 6, 7):
        rows = rows @ w[f"layers.{layer}.weight"].T + w[f"layers.{layer}.bias"]
    return rows[:, 0]


def nsfw(folder: Path, units: Array) -> Array:
    """LAION's NSFW probability of unit embeddings (n, 768); (n,)."""
    w = weights(folder)
    rows = (units - w["norm.mean"]) / np.sqrt(w["norm.variance"])
    for layer in (1, 2, 3, 4):
        rows = rows @ w[f"linear_{layer}.weight"].T + w[f"linear_{layer}.bias"]
        rows = np.maximum(rows, 0) if layer < 4 else 1 / (1 + np.exp(-rows))
    return rows[:, 0]


def lpips(folder: Path, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """LPIPS (VGG16, v0.1) of two frames of one size."""
    w = weights(folder)
    total = 0.0
    for tap, (a, b) in enumerate(zip(_vgg(w, one), _vgg(w, other), strict=True)):
        total += float(((a - b) ** 2 @ w[f"lin{tap}.model.1.weight"].reshape(-1)).mean())
    return total


def _vgg(w: Weights, frame: NDArray[np.uint8]) -> Sequence[Array]:
    states = (frame / 127.5 - 1 - _LPIPS_SHIFT) / _LPIPS_SCALE
    found, layers = [], iter(CONVOLUTIONS)
    for block, count in enumerate(_BLOCKS):
        states = _halved(states) if block else states
        for layer in (next(layers) for _ in range(count)):
            states = np.maximum(
                _convolved(states, w[f"features.{layer}.weight"]) + w[f"features.{layer}.bias"], 0
            )
        found.append(states / (np.linalg.norm(states, axis=2, keepdims=True) + 1e-10))
    return found


def _convolved(states: Array, kernel: Array) -> Array:
    """A 3 x 3 convolution with a border of zeros, over (h, w, channels)."""
    height, width, channels = states.shape
    padded = np.pad(states, ((1, 1), (1, 1), (0, 0)))
    shifted = [
        padded[y : y + height, x : x + width].reshape(-1, channels)
        for y in range(3)
        for x in range(3)
    ]
    flat = kernel.transpose(2, 3, 1, 0).reshape(9 * channels, -1)
    return (np.concatenate(shifted, axis=1) @ flat).reshape(height, width, -1)


def _halved(states: Array) -> Array:
    """Largest of each 2 x 2; an odd row or column at the end is left out."""
    height, width, channels = states.shape
    even = states[: height // 2 * 2, : width // 2 * 2]
    return even.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))


def _config(folder: Path) -> Any:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def _encoder(
    w: Weights, tower: str, config: Mapping[str, Any], states: Array, causal: bool
) -> Array:
    for number in range(config["num_hidden_layers"]):
        layer = f"{tower}.encoder.layers.{number}"
        normed = _norm(w, f"{layer}.layer_norm1", states)
        states = states + _attention(
            w, f"{layer}.self_attn", normed, config["num_attention_heads"], causal
        )
        inner = _linear(w, f"{layer}.mlp.fc1", _norm(w, f"{layer}.layer_norm2", states))
        states = states + _linear(w, f"{layer}.mlp.fc2", inner / (1 + np.exp(-1.702 * inner)))
    return states


def _attention(w: Weights, name: str, states: Array, heads: int, causal: bool) -> Array:
    count, length, width = states.shape
    q, k, v = (
        _linear(w, f"{name}.{part}_proj", states)
        .reshape(count, length, heads, -1)
        .transpose(0, 2, 1, 3)
        for part in ("q", "k", "v")
    )
    logits = q @ k.transpose(0, 1, 3, 2) / np.sqrt(width // heads)
    if causal:
        logits = np.where(np.tri(length, dtype=bool), logits, -np.inf)
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    mixed = shares / shares.sum(axis=-1, keepdims=True) @ v
    return _linear(w, f"{name}.out_proj", mixed.transpose(0, 2, 1, 3).reshape(count, length, width))


def _linear(w: Weights, name: str, rows: Array) -> Array:
    return rows @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _norm(w: Weights, name: str, rows: Array) -> Array:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]
