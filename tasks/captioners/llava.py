"""What models based on LLaVA 1.5 share: CLIP's image tower, a projector and a Llama.

The first half lists the tensors that a checkpoint must hold according to its config, the second
runs them on a conversation with pictures in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np

from curate.tasks.captioners.language_model import Decoder, Floats, Loader
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models import mindone_light
from curate.tasks.models.device import device_errors
from curate.tasks.models.layouts import Shape, Shapes, linear, size, vision_model
from curate.tasks.models.towers_mindspore import parameters_of, shared

VISION_SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "patch_size",
    "image_size", "num_channels",
)  # fmt: skip


def llama_config(given: Mapping[str, Any]) -> Any:
    """The configuration of a Llama. Raises ValueError if it is not supported."""
    if given.get("rope_scaling") or given.get("attention_bias") or given.get("mlp_bias"):
        raise ValueError("rope_scaling, attention_bias and mlp_bias are not supported")
    for key, default, largest in (
        ("hidden_size", 4096, 1 << 16), ("intermediate_size", 11008, 1 << 18),
        ("num_hidden_layers", 32, 256), ("num_attention_heads", 32, 512),
        ("vocab_size", 32000, 1 << 20),
    ):  # fmt: skip
        size(given, key, default, largest)
    return mindone_light.transformers().LlamaConfig(**given)


def clip_config(given: Mapping[str, Any]) -> Any:
    """The configuration of CLIP's image tower. Raises ValueError."""
    for key in VISION_SIZES:
        size(given, key, None, 1 << 16)
    return mindone_light.transformers().CLIPVisionConfig(**given)


def llama_tensors(text: Any) -> Iterable[tuple[str, Shape]]:
    """Names and shapes of a plain Llama without biases."""
    width, inner = text.hidden_size, text.intermediate_size
    head = getattr(text, "head_dim", None) or width // text.num_attention_heads
    queries, keys = head * text.num_attention_heads, head * text.num_key_value_heads
    yield "model.embed_tokens.weight", (text.vocab_size, width)
    for number in range(text.num_hidden_layers):
        layer = f"model.layers.{number}"
        for part, inputs, outputs in (
            ("self_attn.q_proj", width, queries), ("self_attn.k_proj", width, keys),
            ("self_attn.v_proj", width, keys), ("self_attn.o_proj", queries, width),
            ("mlp.gate_proj", width, inner), ("mlp.up_proj", width, inner),
            ("mlp.down_proj", inner, width),
        ):  # fmt: skip
            yield from linear(f"{layer}.{part}", inputs, outputs, bias=False)
        yield f"{layer}.input_layernorm.weight", (width,)
        yield f"{layer}.post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (text.vocab_size, width)


def clip_tensors(vision: Any) -> Iterable[tuple[str, Shape]]:
    """Names and shapes of CLIP's image tower, all below `vision_model`."""
    return vision_model({key: int(getattr(vision, key)) for key in VISION_SIZES})


def position_ids(vision: Any) -> Shapes:
    """An integer tensor that older towers also hold and that nothing reads."""
    positions = (vision.image_size // vision.patch_size) ** 2 + 1
    return {"vision_model.embeddings.position_ids": (1, positions)}


def projector_tensors(
    names: tuple[str, str], vision: Any, text: Any
) -> Iterable[tuple[str, Shape]]:
    """Names and shapes of the two layers between image tower and language model."""
    yield from linear(names[0], vision.hidden_size, text.hidden_size)
    yield from linear(names[1], text.hidden_size, text.hidden_size)


def skipped_layers(config: Mapping[str, Any], key: str, vision: Any) -> int:
    """How many layers at the end of the tower are not run.

    The config names the layer whose states are used under `key`, by default -2. Raises ValueError
    unless that index counts from the end.
    """
    layer = config.get(key, -2)
    if not isinstance(layer, int) or not -vision.num_hidden_layers <= layer < 0:
        raise ValueError(
            f"{key} must be a layer of the image tower counted from its end, not {str(layer)[:40]}"
        )
    return -1 - layer


class PatchTower:
    """CLIP's image tower as LLaVA uses it: returns states of patches instead of an embedding.

    All layers share one compiled layer, as in curate.tasks.models.towers_mindspore. The last
    `skipped` layers are not run.
    """

    def __init__(self, loader: Loader, config: Any, prefix: str, skipped: int, batch: int) -> None:
        module = mindone_light.clip()
        config.attn_implementation = "eager"
        self._loader, self._batch = loader, batch
        self._embeddings = loader.cell(
            lambda: module.CLIPVisionEmbeddings(config), f"{prefix}embeddings."
        )
        norm = loader.ms.nn.LayerNorm
        self._norm = loader.cell(
            lambda: norm((config.hidden_size,), epsilon=config.layer_norm_eps),
            f"{prefix}pre_layrnorm.",
        )
        layer = loader.empty_cell(lambda: module.CLIPEncoderLayer(config))
        names = list(parameters_of(layer))
        weights = [
            loader.tensors([f"{prefix}encoder.layers.{number}.{name}" for name in names])
            for number in range(config.num_hidden_layers - skipped)
        ]
        self._layers = shared(layer, weights)

    def states(self, pixels: Floats) -> Any:
        """The patch states (n, patches, width) of pictures (n, 3, side, side), as a tensor."""
        parts = []
        for first in range(0, len(pixels), self._batch):
            part = pixels[first : first + self._batch]
            padding = np.repeat(part[-1:], self._batch - len(part), axis=0)  # one shape is compiled
            padded = np.ascontiguousarray(np.concatenate([part, padding]))
            with device_errors(self._loader.device):
                hidden = self._norm(self._embeddings(self._loader.tensor(padded)))
                for layer in self._layers:
                    (hidden,) = layer(hidden, None, None)
            parts.append(hidden[: len(part), 1:])
        return parts[0] if len(parts) == 1 else self._loader.ms.ops.cat(parts, 0)


class Projector:
    """Two layers with GELU between them that project patch states to token embeddings."""

    def __init__(self, loader: Loader, names: tuple[str, str]) -> None:
        layers = []
        for name in names:
            outputs, inputs = loader.weights.tensors[f"{name}.weight"].shape
            layers.append(loader.cell(partial(loader.ms.nn.Dense, inputs, outputs), f"{name}."))
        self._first, self._second = layers
        self._gelu = loader.ms.nn.GELU(approximate=False)

    def __call__(self, states: Any) -> Any:
        """The states, projected to the width of the language model; both are tensors."""
        return self._second(self._gelu(self._first(states)))


def conversation(
    decoder: Decoder, parts: Sequence[Sequence[int]], pictures: Sequence[Floats]
) -> Beginning:
    """Join the parts of a text (tokens) with a picture (tokens, width) between each two of them.

    There is one picture fewer than there are parts.
    """
    pieces: list[Floats] = []
    for part, picture in zip_longest(parts, pictures):
        pieces += [decoder.embed(part)] if picture is None else [decoder.embed(part), picture]
    embedded = np.concatenate(pieces)
    return Beginning(embedded, np.arange(len(embedded))[None], len(embedded))
