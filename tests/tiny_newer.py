"""Writes Qwen3-VL and InternVL with random weights in their published layouts; see
tiny_captioners.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.tiny import Drawn
from tests.tiny_captioners import (
    QWEN_WORDS,
    WORDS,
    Tensors,
    write_json,
    write_shards,
    write_tokenizer,
)

QWEN3 = "Qwen3-VL-8B-Instruct"
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def drawn(shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Numbers that keep activations around 1, by what a tensor is for."""
    made: Tensors = {}
    for name, shape in shapes.items():
        last = name.rpartition(".")[0]
        if name.endswith(".bias"):
            made[name] = Drawn(shape, 0.1)
        elif "norm" in last.rpartition(".")[2] or "lambda" in name:
            made[name] = Drawn(shape, 0.1, 1.0)
        elif "embed_tokens" in name or "position" in name or "pos_embed" in name:
            made[name] = Drawn(shape, 1.0)
        else:
            size = 1
            for side in shape[1:]:
                size *= side
            made[name] = Drawn(shape, (3 if "lm_head" in name else 1.5) * size**-0.5)
    return made


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    """A linear layer."""
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def decoder(prefix: str, text: Mapping[str, Any]) -> Shapes:
    """A Qwen2 or, with `head_dim`, a Qwen3 without its head."""
    width, inner, newer = text["hidden_size"], text["intermediate_size"], "head_dim" in text
    side = text.get("head_dim", width // text["num_attention_heads"])
    yield f"{prefix}embed_tokens.weight", (text["vocab_size"], width)
    for number in range(text["num_hidden_layers"]):
        layer = f"{prefix}layers.{number}"
        for part, heads in (("q", "attention"), ("k", "key_value"), ("v", "key_value")):
            outputs = side * text[f"num_{heads}_heads"]
            yield from linear(f"{layer}.self_attn.{part}_proj", width, outputs, not newer)
            if newer and part != "v":
                yield f"{layer}.self_attn.{part}_norm.weight", (side,)
        yield f"{layer}.self_attn.o_proj.weight", (width, side * text["num_attention_heads"])
        for part in ("gate", "up"):
            yield f"{layer}.mlp.{part}_proj.weight", (inner, width)
        yield f"{layer}.mlp.down_proj.weight", (width, inner)
        yield f"{layer}.input_layernorm.weight", (width,)
        yield f"{layer}.post_attention_layernorm.weight", (width,)
    yield f"{prefix}norm.weight", (width,)


def qwen3_config(tied: bool = False) -> dict[str, Any]:
    """config.json of a tiny Qwen3-VL: heads of 24, positions for 4 x 4 patches."""
    text = {
        "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 300, "dtype": "bfloat16",
        "eos_token_id": 302, "head_dim": 24, "hidden_act": "silu", "hidden_size": 64,
        "initializer_range": 0.02, "intermediate_size": 96, "max_position_embeddings": 262144,
        "model_type": "qwen3_vl_text", "num_attention_heads": 4, "num_hidden_layers": 3,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "rope_theta": 5000000,
        "rope_scaling": {
            "mrope_interleaved": True, "mrope_section": [6, 3, 3], "rope_type": "default",
        },
        "tie_word_embeddings": tied, "use_cache": True, "vocab_size": WORDS,
    }  # fmt: skip
    vision = {
        "deepstack_visual_indexes": [0, 2], "depth": 3, "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 32, "in_channels": 3, "initializer_range": 0.02, "intermediate_size": 48,
        "model_type": "qwen3_vl", "num_heads": 2, "num_position_embeddings": 16,
        "out_hidden_size": 64, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl",
        "image_token_id": 306, "video_token_id": 307, "vision_start_token_id": 303,
        "vision_end_token_id": 304, "tie_word_embeddings": tied, "text_config": text,
        "vision_config": vision,
    }  # fmt: skip


def qwen3_shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of a Qwen3-VL, by its published name."""
    text, vision = config["text_config"], config["vision_config"]
    width, inner, four = vision["hidden_size"], vision["intermediate_size"], 0
    four = 4 * width
    yield from decoder("model.language_model.", text)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (text["vocab_size"], text["hidden_size"])
    yield "model.visual.patch_embed.proj.weight", (width, 3, 2, 16, 16)
    yield "model.visual.patch_embed.proj.bias", (width,)
    yield "model.visual.pos_embed.weight", (vision["num_position_embeddings"], width)
    norms = {"merger.norm": width}
    for number in range(vision["depth"]):
        block = f"blocks.{number}"
        norms |= {f"{block}.norm1": width, f"{block}.norm2": width}
        for part, inputs, outputs in (
            ("attn.qkv", width, 3 * width), ("attn.proj", width, width),
            ("mlp.linear_fc1", width, inner), ("mlp.linear_fc2", inner, width),
        ):  # fmt: skip
            yield from linear(f"model.visual.{block}.{part}", inputs, outputs)
    mergers = ["merger"]
    for number in range(len(vision["deepstack_visual_indexes"])):
        mergers.append(f"deepstack_merger_list.{number}")
        norms[f"{mergers[-1]}.norm"] = four
    for merger in mergers:
        yield from linear(f"model.visual.{merger}.linear_fc1", four, four)
        yield from linear(f"model.visual.{merger}.linear_fc2", four, vision["out_hidden_size"])
    for norm, size in norms.items():
        yield f"model.visual.{norm}.weight", (size,)
        yield f"model.visual.{norm}.bias", (size,)


def write_qwen3(folder: Path, tied: bool = False, shards: int = 2) -> Path:
    """Write a folder of Qwen3-VL."""
    folder.mkdir(parents=True, exist_ok=True)
    config = qwen3_config(tied)
    write_json(folder / "config.json", config)
    generation = {"bos_token_id": 300, "pad_token_id": 300, "do_sample": True}
    write_json(
        folder / "generation_config.json",
        generation | {"eos_token_id": [302, 300], "repetition_penalty": 1.0},
    )
    write_tokenizer(folder, QWEN_WORDS, None)
    write_shards(folder, drawn(dict(qwen3_shapes(config))), shards)
    return folder
