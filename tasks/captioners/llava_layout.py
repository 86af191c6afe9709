"""Configs and tensors of what LLaVA 1.5 and its offspring are made of: CLIP's image tower, a
projector, a Llama.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from curate.tasks.models import mindone_light
from curate.tasks.models.layouts import Shape, Shapes, linear, size, vision_model

VISION_SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "patch_size", "image_size",
    "num_channels",
)  # fmt: skip
_LARGEST_VOCABULARY = 1 << 20


def llama_config(given: Mapping[str, Any]) -> Any:
    """The configuration of a Llama. Raises ValueError when it is none that can be run."""
    if given.get("rope_scaling") or given.get("attention_bias") or given.get("mlp_bias"):
        raise ValueError("rope_scaling, attention_bias and mlp_bias are not supported")
    for key, default, largest in (
        ("hidden_size", 4096, 1 << 16), ("intermediate_size", 11008, 1 << 18), ("num_hidden_layers", 32, 256),
        ("num_attention_heads", 32, 512), ("vocab_size", 32000, _LARGEST_VOCABULARY),
    ):  # fmt: skip
        size(given, key, default, largest)
    return mindone_light.transformers().LlamaConfig(**given)


def clip_config(given: Mapping[str, Any]) -> Any:
    """The configuration of CLIP's image tower. Raises ValueError."""
    for key in VISION_SIZES:
        size(given, key, None, 1 << 16)
    return mindone_light.transformers().CLIPVisionConfig(**given)


def llama(text: Any) -> Iterable[tuple[str, Shape]]:
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
            ("mlp.gate_proj", width, inner), ("mlp.up_proj", width, inner), ("mlp.down_proj", inner, width),
        ):  # fmt: skip
            yield from linear(f"{layer}.{part}", inputs, outputs, bias=False)
        yield f"{layer}.input_layernorm.weight", (width,)
        yield f"{layer}.post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (text.vocab_size, width)


def clip(vision: Any) -> Iterable[tuple[str, Shape]]:
    """Names and shapes of CLIP's image tower, all below `vision_model`."""
    return vision_model({key: int(getattr(vision, key)) for key in VISION_SIZES})


def position_ids(vision: Any) -> Shapes:
    """A tensor of whole numbers that older towers hold besides, and that nothing reads."""
    places = (vision.image_size // vision.patch_size) ** 2 + 1
    return {"vision_model.embeddings.position_ids": (1, places)}


def projector(names: tuple[str, str], vision: Any, text: Any) -> Iterable[tuple[str, Shape]]:
    """Names and shapes of the two layers between tower and language model."""
    yield from linear(names[0], vision.hidden_size, text.hidden_size)
    yield from linear(names[1], text.hidden_size, text.hidden_size)


def skipped_layers(config: Mapping[str, Any], key: str, vision: Any) -> int:
    """Layers of the tower that are not run, where the states before the layer under `key`, by
    default -2, are used.

    Raises ValueError where that is none counted from the end.
    """
    layer = config.get(key, -2)
    if not isinstance(layer, int) or not -vision.num_hidden_layers <= layer < 0:
        raise ValueError(
            f"{key} must be a layer of the image tower counted from its end, not {str(layer)[:40]}"
        )
    return -1 - layer
