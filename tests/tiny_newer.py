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

QWEN3, INTERNVL = "Qwen3-VL-8B-Instruct", "InternVL3-8B-hf"
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
        elif "embed_tokens" in name or "pos_embed" in name or len(shape) == 3:
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
    width, inner = vision["hidden_size"], vision["intermediate_size"]
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


INTERN_WORDS = {
    "<|endoftext|>": 300, "<|im_start|>": 301, "<|im_end|>": 302, "<img>": 303, "</img>": 304,
    "<IMG_CONTEXT>": 305, "<video>": 306,
}  # fmt: skip


def internvl_config(newer: bool = False) -> dict[str, Any]:
    """config.json of a tiny InternVL3, 4 x 4 patches a tile; the newer one, InternVL3.5, is on a
    Qwen3 and has the norms of the 6B tower.
    """
    text: dict[str, Any] = {
        "model_type": "qwen3" if newer else "qwen2", "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": WORDS, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "eos_token_id": 302,
        "max_position_embeddings": 4096, "hidden_act": "silu", "use_sliding_window": False,
        "tie_word_embeddings": False, "max_window_layers": 2,
    }  # fmt: skip
    if newer:
        text["head_dim"] = 24
    else:
        text["rope_scaling"] = {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"}
    vision = {
        "model_type": "internvl_vision", "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 2, "attention_bias": not newer,
        "use_qk_norm": newer, "norm_type": "rms_norm" if newer else "layer_norm",
        "layer_norm_eps": 1e-6, "image_size": [56, 56], "patch_size": [14, 14], "num_channels": 3,
        "hidden_act": "gelu", "layer_scale_init_value": 0.1, "use_mean_pooling": True,
        "use_mask_token": False, "use_absolute_position_embeddings": True,
    }  # fmt: skip
    return {
        "architectures": ["InternVLForConditionalGeneration"], "model_type": "internvl",
        "image_token_id": 305, "image_seq_length": 4, "downsample_ratio": 0.5,
        "projector_hidden_act": "gelu", "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default", "text_config": text, "vision_config": vision,
    }  # fmt: skip


def internvl_shapes(config: Mapping[str, Any], newer: bool = False) -> Shapes:
    """Every tensor of an InternVL, by the name that it was published with; newer ones as written
    by transformers today.
    """
    text, vision = config["text_config"], config["vision_config"]
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    rest, language = ("model.", "model.language_model.") if newer else ("", "language_model.model.")
    yield from decoder(language, text)
    yield f"{'' if newer else 'language_model.'}lm_head.weight", (text["vocab_size"], 64)
    tower = f"{rest}vision_tower."
    patch = vision["patch_size"][0]
    patches = (vision["image_size"][0] // patch) ** 2
    yield f"{tower}embeddings.cls_token", (1, 1, width)
    yield f"{tower}embeddings.position_embeddings", (1, patches + 1, width)
    yield f"{tower}embeddings.patch_embeddings.projection.weight", (width, 3, patch, patch)
    yield f"{tower}embeddings.patch_embeddings.projection.bias", (width,)
    for number in range(vision["num_hidden_layers"]):
        layer = f"{tower}encoder.layer.{number}"
        for part in "qkv":
            yield from linear(f"{layer}.attention.{part}_proj", width, width, not newer)
            if newer and part != "v":
                yield f"{layer}.attention.{part}_norm.weight", (width,)
        yield from linear(f"{layer}.attention.projection_layer", width, width)
        yield from linear(f"{layer}.mlp.fc1", width, inner)
        yield from linear(f"{layer}.mlp.fc2", inner, width)
        for norm in ("layernorm_before", "layernorm_after"):
            yield f"{layer}.{norm}.weight", (width,)
            if not newer:
                yield f"{layer}.{norm}.bias", (width,)
        yield f"{layer}.lambda_1", (width,)
        yield f"{layer}.lambda_2", (width,)
    projector = f"{rest}multi_modal_projector"
    yield f"{projector}.layer_norm.weight", (4 * width,)
    yield f"{projector}.layer_norm.bias", (4 * width,)
    yield from linear(f"{projector}.linear_1", 4 * width, text["hidden_size"])
    yield from linear(f"{projector}.linear_2", text["hidden_size"], text["hidden_size"])


def write_internvl(folder: Path, newer: bool = False, shards: int = 2) -> Path:
    """Write a folder of InternVL for transformers."""
    folder.mkdir(parents=True, exist_ok=True)
    config = internvl_config(newer)
    write_json(folder / "config.json", config)
    write_tokenizer(folder, INTERN_WORDS, None)
    write_shards(folder, drawn(dict(internvl_shapes(config, newer))), shards)
    return folder
