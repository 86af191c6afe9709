"""The tensors that a model's checkpoint must hold: names and shapes, from its configuration.

Names are as published: by Hugging Face for CLIP, by LAION, torchvision and lpips for the rest.
Matrices of linear layers are (outputs, inputs), kernels of convolutions (outputs, inputs, height,
width).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from curate.tasks.models.catalog import ModelKind

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

# inputs and outputs of the linear layers, by their numbers; between them: dropout
AESTHETIC_LAYERS = {0: (768, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}
HEADS = frozenset({"aesthetic", "nsfw"})  # kinds of models that score embeddings of CLIP
HEAD_WIDTH = 768  # of the embeddings that both heads were trained on
NSFW_WIDTHS = (768, 64, 512, 256, 1)
VGG_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # VGG16's convolutions
TRANSNET_FILTERS = (16, 32, 64)  # of each convolution in its three pairs of blocks
TRANSNET_STEPS = (1, 2, 4, 8)  # frames between the taps of the convolutions of a block
# of EfficientNet-Lite0's blocks: how many, kernel, widening, outputs
LITE0_BLOCKS = (
    (1, 3, 1, 16), (2, 3, 6, 24), (2, 5, 6, 40), (3, 3, 6, 80), (3, 5, 6, 112), (4, 5, 6, 192),
    (1, 3, 6, 320),
)  # fmt: skip
LPIPS_CHANNELS = (64, 128, 256, 512, 512)  # of the five features that LPIPS compares

# NumPy's types by their names in safetensors; NumPy lacks bfloat16, whose bits are kept as uint16
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "<i1", "U8": "<u1", "BOOL": "?",
}  # fmt: skip
MOST_DIMENSIONS = 8  # NumPy has 32 or 64; weights of networks have 5
_MOST_NUMBERS = 1 << 56

# defaults of transformers for values that config.json leaves out
_TEXT = {
    "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
    "num_attention_heads": 8, "max_position_embeddings": 77,
}  # fmt: skip
_VISION = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "num_channels": 3, "image_size": 224, "patch_size": 32,
}  # fmt: skip
_LAYERS: Mapping[str, Any] = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_ACTIVATIONS = ("quick_gelu", "gelu")  # of all published CLIPs
# far above the largest published CLIP (ViT-bigG/14); keeps hostile files from asking for terabytes
_LARGEST = {
    "vocab_size": 300_000, "hidden_size": 8192, "intermediate_size": 65_536,
    "num_hidden_layers": 128, "num_attention_heads": 128, "max_position_embeddings": 4096,
    "num_channels": 3, "image_size": 2048, "patch_size": 128, "projection_dim": 8192,
}  # fmt: skip


class BadConfig(ValueError):
    """A configuration that is not valid for its kind of model; the message says why."""


def expected(kind: ModelKind, config: Mapping[str, Any]) -> Shapes:
    """Names and shapes of all tensors that a checkpoint must hold.

    Only CLIP has a `config`, its config.json. Raises BadConfig if a value is missing, has the wrong
    type, is out of bounds, or contradicts another.
    """
    shapes: Shapes = {}
    match kind:
        case "clip":
            shapes.update(_clip(config))
        case "aesthetic":
            for number, (inputs, outputs) in AESTHETIC_LAYERS.items():
                shapes.update(linear(f"layers.{number}", inputs, outputs))
        case "nsfw":
            shapes = {"norm.mean": (NSFW_WIDTHS[0],), "norm.variance": (NSFW_WIDTHS[0],)}
            for number, (inputs, outputs) in enumerate(itertools.pairwise(NSFW_WIDTHS), 1):
                shapes.update(linear(f"linear_{number}", inputs, outputs))
        case "lpips":
            widths = itertools.pairwise((3, *VGG_CHANNELS))
            for number, (inputs, outputs) in zip(VGG_LAYERS, widths, strict=True):
                shapes[f"features.{number}.weight"] = (outputs, inputs, 3, 3)
                shapes[f"features.{number}.bias"] = (outputs,)
            for number, outputs in enumerate(LPIPS_CHANNELS):
                shapes[f"lin{number}.model.1.weight"] = (1, outputs, 1, 1)
        case "transnetv2":
            shapes.update(_transnet())
        case "efficientnet_lite0":
            shapes.update(_lite0())
        case _:
            raise KeyError(kind)  # captioners define their own layouts
    return shapes


def _transnet() -> Iterator[tuple[str, Shape]]:
    """TransNetV2: six blocks of four convolutions, two layers that compare frames, and a head."""
    inputs = 3
    for stage, filters in enumerate(TRANSNET_FILTERS):
        for block in range(2):
            name = f"SDDCNN.{stage}.DDCNN.{block}"
            for step in TRANSNET_STEPS:
                layers = f"{name}.Conv3D_{step}.layers"
                yield f"{layers}.0.weight", (2 * filters, inputs, 1, 3, 3)
                yield f"{layers}.1.weight", (filters, 2 * filters, 3, 1, 1)
            inputs = 4 * filters
            yield from _batch_norm(f"{name}.bn", inputs)
    yield from linear("frame_sim_layer.projection", 4 * sum(TRANSNET_FILTERS), 128)
    yield from linear("frame_sim_layer.fc", 101, 128)
    yield from linear("color_hist_layer.fc", 101, 128)
    yield from linear("fc1", inputs * 3 * 6 + 2 * 128, 1024)
    yield from linear("cls_layer1", 1024, 1)
    yield from linear("cls_layer2", 1024, 1)


def _lite0() -> Iterator[tuple[str, Shape]]:
    """EfficientNet-Lite0, without counters that only training needs."""
    yield "_conv_stem.weight", (32, 3, 3, 3)
    yield from _batch_norm("_bn0", 32)
    number, inputs = 0, 32
    for count, kernel, widening, outputs in LITE0_BLOCKS:
        for _ in range(count):
            name, inner = f"_blocks.{number}", inputs * widening
            if widening > 1:
                yield f"{name}._expand_conv.weight", (inner, inputs, 1, 1)
                yield from _batch_norm(f"{name}._bn0", inner)
            yield f"{name}._depthwise_conv.weight", (inner, 1, kernel, kernel)
            yield from _batch_norm(f"{name}._bn1", inner)
            yield f"{name}._project_conv.weight", (outputs, inner, 1, 1)
            yield from _batch_norm(f"{name}._bn2", outputs)
            number, inputs = number + 1, outputs
    yield "_conv_head.weight", (1280, inputs, 1, 1)
    yield from _batch_norm("_bn1", 1280)
    yield from linear("_fc", 1280, 1000)


def _batch_norm(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)


def optional(kind: ModelKind, config: Mapping[str, Any]) -> Shapes:
    """Names and shapes of unused int64 tensors that a published checkpoint may also hold."""
    if kind != "clip":
        return {}
    text, vision = tower(config, "text"), tower(config, "vision")
    return {
        "text_model.embeddings.position_ids": (1, text["max_position_embeddings"]),
        "vision_model.embeddings.position_ids": (1, positions(vision)),
    }


def tower(config: Mapping[str, Any], name: str) -> dict[str, int]:
    """The sizes of a CLIP tower, `text` or `vision`, as transformers reads them.

    Raises BadConfig.
    """
    defaults = _TEXT if name == "text" else _VISION
    given = _tower_config(config, name, defaults)
    sizes = {key: size(given, key, default, _LARGEST[key]) for key, default in defaults.items()}
    if sizes["hidden_size"] % sizes["num_attention_heads"]:
        raise BadConfig(f"hidden_size of {name}_config is no multiple of num_attention_heads")
    return sizes


def tower_layers(config: Mapping[str, Any], name: str) -> tuple[str, float]:
    """The activation of a CLIP tower, and what its normalisations add to a variance.

    Raises BadConfig.
    """
    given = _tower_config(config, name, _LAYERS)
    activation, epsilon = (given.get(key, default) for key, default in _LAYERS.items())
    if activation not in _ACTIVATIONS:
        known = " nor ".join(_ACTIVATIONS)
        raise BadConfig(f"hidden_act of {name}_config is {str(activation)[:40]}, neither {known}")
    if not isinstance(epsilon, float) or not 0 < epsilon < 1:
        raise BadConfig(f"layer_norm_eps of {name}_config is no number from 0 to 1")
    return activation, epsilon


def _tower_config(
    config: Mapping[str, Any], name: str, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    given = dict(_object(config, f"{name}_config"))
    older = _object(config, f"{name}_config_dict")  # if present, transformers prefers it
    return given | {**defaults, **older} if older else given


def positions(vision: Mapping[str, int]) -> int:
    """The number of positions of a vision tower: its patches and the class token."""
    if vision["patch_size"] > vision["image_size"]:
        raise BadConfig("patch_size is larger than image_size")
    return (vision["image_size"] // vision["patch_size"]) ** 2 + 1


def _object(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadConfig(f"{key} is no object")
    return value


def size(config: Mapping[str, Any], key: str, default: int | None, largest: int) -> int:
    """An integer of a config, from 1 to `largest`. Raises BadConfig."""
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise BadConfig(f"{key} must be a whole number from 1 to {largest}, not {str(value)[:40]}")
    return value


def _clip(config: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of a CLIP model. Raises BadConfig."""
    if config.get("model_type", "clip") != "clip":
        raise BadConfig(f"model_type is {str(config['model_type'])[:40]}, not clip")
    text, vision = tower(config, "text"), tower(config, "vision")
    for name in ("text", "vision"):
        tower_layers(config, name)  # which are no matter of shapes, but wrong ones are told here
    if vision["num_channels"] != 3:
        raise BadConfig("num_channels of vision_config must be 3: red, green and blue")
    common = size(config, "projection_dim", 512, _LARGEST["projection_dim"])
    width = text["hidden_size"]
    embeddings = "text_model.embeddings"
    yield "logit_scale", ()
    yield "text_projection.weight", (common, width)
    yield "visual_projection.weight", (common, vision["hidden_size"])
    yield f"{embeddings}.token_embedding.weight", (text["vocab_size"], width)
    yield f"{embeddings}.position_embedding.weight", (text["max_position_embeddings"], width)
    yield from _encoder("text_model", text)
    yield from _norm("text_model.final_layer_norm", width)
    yield from vision_model(vision)


def vision_model(sizes: Mapping[str, int]) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of a CLIP image tower without its projection."""
    width, patch = sizes["hidden_size"], sizes["patch_size"]
    embeddings = "vision_model.embeddings"
    yield f"{embeddings}.class_embedding", (width,)
    yield f"{embeddings}.patch_embedding.weight", (width, sizes["num_channels"], patch, patch)
    yield f"{embeddings}.position_embedding.weight", (positions(sizes), width)
    yield from _norm("vision_model.pre_layrnorm", width)  # misspelt as published
    yield from _encoder("vision_model", sizes)
    yield from _norm("vision_model.post_layernorm", width)


def _encoder(name: str, sizes: Mapping[str, int]) -> Iterator[tuple[str, Shape]]:
    width, inner = sizes["hidden_size"], sizes["intermediate_size"]
    for number in range(sizes["num_hidden_layers"]):
        layer = f"{name}.encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{layer}.self_attn.{part}", width, width)
        yield from _norm(f"{layer}.layer_norm1", width)
        yield from _norm(f"{layer}.layer_norm2", width)
        yield from linear(f"{layer}.mlp.fc1", width, inner)
        yield from linear(f"{layer}.mlp.fc2", inner, width)


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of a linear layer."""
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def strange(shape: Sequence[int]) -> str:
    """What is wrong with the shape of a tensor; '' when NumPy can hold it.

    A size of 0 does not make the other sizes harmless.
    """
    if len(shape) > MOST_DIMENSIONS:
        return f"{len(shape)} dimensions, and weights have no more than {MOST_DIMENSIONS}"
    if any(type(n) is not int or n < 0 for n in shape):
        return "sizes that are no whole numbers from 0 up"
    return "more numbers than any file" if math.prod(n or 1 for n in shape) > _MOST_NUMBERS else ""
