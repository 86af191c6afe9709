"""The tensors of Qwen2-VL and Qwen2.5-VL as published on Hugging Face, and their configs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from curate.tasks.captioners.qwen_frames import MERGE, PAIR, PATCH
from curate.tasks.models import mindone_light
from curate.tasks.models.layouts import Shape, Shapes, linear, size

Family = Literal["qwen2_vl", "qwen2_5_vl"]
_LARGEST = 1 << 20
_TEXT = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
)  # fmt: skip
_VISION = {
    "qwen2_vl": ("depth", "embed_dim", "hidden_size", "num_heads", "mlp_ratio"),
    "qwen2_5_vl": (
        "depth",
        "hidden_size",
        "intermediate_size",
        "num_heads",
        "out_hidden_size",
        "window_size",
    ),
}


def configuration(family: Family, config: Mapping[str, Any]) -> Any:
    """The configuration, as transformers has it. Raises ValueError when it is none that can be run."""
    if config.get("model_type") != family:
        raise ValueError(f"model_type is {str(config.get('model_type'))[:40]}, not {family}")
    given = config.get("text_config", config)
    vision = config.get("vision_config")
    if not isinstance(given, dict) or not isinstance(vision, dict):
        raise ValueError("text_config or vision_config is no object")
    for keys, of in ((_TEXT, given), (_VISION[family], vision)):
        for key in keys:
            size(of, key, None, _LARGEST)
    transformers = mindone_light.transformers()
    cls = transformers.Qwen2VLConfig if family == "qwen2_vl" else transformers.Qwen2_5_VLConfig
    made = cls(**config)
    text, seen = made.text_config, made.vision_config
    rope = text.rope_scaling or {}
    head = text.hidden_size // text.num_attention_heads
    if (
        rope.get("type", rope.get("rope_type")) not in ("mrope", "default")
        or text.use_sliding_window
    ):
        raise ValueError("only rope_scaling of type mrope and no sliding window are supported")
    if 2 * sum(rope.get("mrope_section") or []) != head:
        raise ValueError("mrope_section does not add up to half of a head")
    shape = (
        seen.patch_size,
        seen.spatial_merge_size,
        seen.temporal_patch_size,
        getattr(seen, "in_channels", 3),
    )
    if shape != (PATCH, MERGE, PAIR, 3):
        raise ValueError(
            "patches must be of 14 x 14 pixels, 2 frames and 3 colours, and 2 x 2 of them a word"
        )
    if family == "qwen2_5_vl" and seen.window_size % (PATCH * MERGE):
        raise ValueError("window_size must be a multiple of 28")
    return made


def expected(family: Family, config: Any) -> Shapes:
    """The tensors that a checkpoint must hold, all of them."""
    tower = _tower if family == "qwen2_vl" else _tower_2_5
    return {**dict(_language(config)), **dict(tower(config.vision_config))}


def head(config: Any) -> str:
    """The tensor that turns states into scores of words: small models share that of the embeddings."""
    return "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"


def _language(config: Any) -> Iterator[tuple[str, Shape]]:
    text = config.text_config
    width, inner = text.hidden_size, text.intermediate_size
    keys = width // text.num_attention_heads * text.num_key_value_heads
    yield "model.embed_tokens.weight", (text.vocab_size, width)
    for number in range(text.num_hidden_layers):
        layer = f"model.layers.{number}"
        for part, outputs in (("q", width), ("k", keys), ("v", keys)):
            yield from linear(f"{layer}.self_attn.{part}_proj", width, outputs)
        yield from linear(f"{layer}.self_attn.o_proj", width, width, bias=False)
        for part, inputs, outputs in (
            ("gate", width, inner),
            ("up", width, inner),
            ("down", inner, width),
        ):
            yield from linear(f"{layer}.mlp.{part}_proj", inputs, outputs, bias=False)
        yield f"{layer}.input_layernorm.weight", (width,)
        yield f"{layer}.post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    if not config.tie_word_embeddings:
        yield "lm_head.weight", (text.vocab_size, width)


def _tower(vision: Any) -> Iterator[tuple[str, Shape]]:
    width = vision.embed_dim
    yield "visual.patch_embed.proj.weight", (width, 3, PAIR, PATCH, PATCH)
    for number in range(vision.depth):
        block = f"visual.blocks.{number}"
        for norm in ("norm1", "norm2"):
            yield f"{block}.{norm}.weight", (width,)
            yield f"{block}.{norm}.bias", (width,)
        yield from linear(f"{block}.attn.qkv", width, 3 * width)
        yield from linear(f"{block}.attn.proj", width, width)
        yield from linear(f"{block}.mlp.fc1", width, int(width * vision.mlp_ratio))
        yield from linear(f"{block}.mlp.fc2", int(width * vision.mlp_ratio), width)
    yield "visual.merger.ln_q.bias", (width,)
    yield from _merger(width, vision.hidden_size)


def _tower_2_5(vision: Any) -> Iterator[tuple[str, Shape]]:
    width, inner = vision.hidden_size, vision.intermediate_size
    yield "visual.patch_embed.proj.weight", (width, 3, PAIR, PATCH, PATCH)
    for number in range(vision.depth):
        block = f"visual.blocks.{number}"
        yield f"{block}.norm1.weight", (width,)
        yield f"{block}.norm2.weight", (width,)
        yield from linear(f"{block}.attn.qkv", width, 3 * width)
        yield from linear(f"{block}.attn.proj", width, width)
        for part, inputs, outputs in (
            ("gate", width, inner),
            ("up", width, inner),
            ("down", inner, width),
        ):
            yield from linear(f"{block}.mlp.{part}_proj", inputs, outputs)
    yield from _merger(width, vision.out_hidden_size)


def _merger(width: int, outputs: int) -> Iterator[tuple[str, Shape]]:
    four = MERGE * MERGE * width
    yield "visual.merger.ln_q.weight", (width,)
    yield from linear("visual.merger.mlp.0", four, four)
    yield from linear("visual.merger.mlp.2", four, outputs)
