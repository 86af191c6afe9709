"""Writes captioners with random weights in their published layouts: all names, tiny shapes. See
tiny.py.

``python -m tests.tiny_captioners FOLDER`` writes all of them where `curate models` looks, as
tiny.py does the others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.tiny import Drawn, byte_letters, image_tower, write_safetensors

PLLAVA, QWEN2, QWEN25 = "pllava-7b", "Qwen2-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct"
RANK = 4  # of LoRA, 128 as published
WORDS = 320  # of a vocabulary

Video = NDArray[np.uint8]
Tensors = dict[str, Drawn]


def videos() -> list[Video]:
    """Three drawn videos: a square that wanders over smooth noise; wide, tall, and very wide."""
    return [
        drawn(number, *shape)
        for number, shape in enumerate([(9, 90, 160), (5, 121, 67), (14, 50, 201)])
    ]


def drawn(seed: int, count: int, height: int, width: int) -> Video:
    """Frames (count, height, width, 3)."""
    random = np.random.RandomState(seed)
    coarse = random.randint(0, 256, (count, 6, 6, 3))
    rows, columns = np.arange(height) * 6 // height, np.arange(width) * 6 // width
    made: Video = coarse[:, rows][:, :, columns].astype(np.uint8)
    side = height // 3
    for number, frame in enumerate(made):
        left = (width - side) * number // max(1, count - 1)
        frame[side : 2 * side, left : left + side] = random.randint(0, 256, 3)
    return made


def write_tokenizer(folder: Path, specials: dict[str, int], begin: str | None) -> None:
    """Write a tokenizer.json of bytes and special words; `begin` is set before every text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    numbers = [n for n in range(WORDS) if n not in specials.values()]
    letters = [*byte_letters(), *(f"unused {n}" for n in range(WORDS))]
    words = dict(zip(letters, numbers, strict=False)) | specials
    made = Tokenizer(models.BPE(words, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in specials])
    if begin:
        made.post_processor = processors.TemplateProcessing(
            f"{begin} $A", special_tokens=[(begin, specials[begin])]
        )
    made.save(str(folder / "tokenizer.json"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, by people to be read."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_shards(folder: Path, tensors: Tensors, shards: int, seed: int = 0) -> None:
    """Write tensors into several files and an index, as a large model is published."""
    names = list(tensors)
    files = [f"model-{n:05}-of-{shards:05}.safetensors" for n in range(1, shards + 1)]
    where = {name: files[number * shards // len(names)] for number, name in enumerate(names)}
    for file in sorted(set(where.values())):
        write_safetensors(
            folder / file, {name: tensors[name] for name in names if where[name] == file}, seed
        )
    write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": 0}, "weight_map": where},
    )


def llama(
    prefix: str, text: dict[str, Any], base: str = "", rank: int = 0
) -> Iterator[tuple[str, Drawn]]:
    """A Llama, with LoRA on queries and values where `rank` is above 0."""
    width, inner = text["hidden_size"], text["intermediate_size"]
    keys = width // text["num_attention_heads"] * text["num_key_value_heads"]
    yield f"{prefix}model.embed_tokens.weight", Drawn((text["vocab_size"], width), 1.0)
    for number in range(text["num_hidden_layers"]):
        layer = f"{prefix}model.layers.{number}"
        for part, outputs in (("q", width), ("k", keys), ("v", keys), ("o", width)):
            changed = rank and part in "qv"
            name = f"{layer}.self_attn.{part}_proj"
            yield (
                f"{name}{base if changed else ''}.weight",
                Drawn((outputs, width), 1.5 * width**-0.5),
            )
            if changed:
                yield f"{name}.lora_A.default.weight", Drawn((rank, width), width**-0.5)
                yield f"{name}.lora_B.default.weight", Drawn((outputs, rank), 1.0)
        for part, outputs, inputs in (
            ("gate", inner, width),
            ("up", inner, width),
            ("down", width, inner),
        ):
            yield f"{layer}.mlp.{part}_proj.weight", Drawn((outputs, inputs), 1.5 * inputs**-0.5)
        yield f"{layer}.input_layernorm.weight", Drawn((width,), 0.1, 1.0)
        yield f"{layer}.post_attention_layernorm.weight", Drawn((width,), 0.1, 1.0)
    yield f"{prefix}model.norm.weight", Drawn((width,), 0.1, 1.0)
    yield f"{prefix}lm_head.weight", Drawn((text["vocab_size"], width), 3 * width**-0.5)


def clip_tower(prefix: str, vision: dict[str, Any]) -> Iterator[tuple[str, Drawn]]:
    """CLIP's image tower without its projection."""
    for name, tensor in image_tower({"vision_config": vision}):
        if name != "visual_projection.weight":
            yield f"{prefix}{name}", tensor


def pllava_config() -> dict[str, Any]:
    """config.json of a tiny PLLaVA: 8 x 8 patches a picture."""
    text = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": WORDS,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048,
    }  # fmt: skip
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2, "patch_size": 14, "image_size": 112, "num_channels": 3,
        "projection_dim": 16,
        "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    }  # fmt: skip
    return {
        "architectures": ["PllavaForConditionalGeneration"], "model_type": "pllava",
        "image_token_index": 300,
        "pad_token_id": 301, "projector_hidden_act": "gelu", "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default", "pooling_shape": [16, 12, 12],
        "frame_shape": [8, 8],
        "num_frames": 16, "use_pooling": True, "text_config": text, "vision_config": vision,
    }  # fmt: skip


def pllava_tensors(lora: bool = True) -> Tensors:
    """Every tensor of a PLLaVA; without LoRA it has the names of transformers' LLaVA."""
    config = pllava_config()
    text, vision = config["text_config"], config["vision_config"]
    prefix = "language_model.base_model.model." if lora else "language_model."
    made = dict(clip_tower("vision_tower.", vision))
    for number, inputs in ((1, vision["hidden_size"]), (2, text["hidden_size"])):
        made[f"multi_modal_projector.linear_{number}.weight"] = Drawn(
            (64, inputs), 2 * inputs**-0.5
        )
        made[f"multi_modal_projector.linear_{number}.bias"] = Drawn((64,), 0.1)
    return made | dict(llama(prefix, text, ".base_layer", RANK if lora else 0))


def write_pllava(folder: Path, lora: bool = True, shards: int = 3) -> Path:
    """Write a PLLaVA folder: config, tokenizer, three files of weights and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", pllava_config())
    write_tokenizer(folder, {"<unk>": 0, "<s>": 1, "</s>": 2, "<image>": 300, "<pad>": 301}, "<s>")
    write_shards(folder, pllava_tensors(lora), shards)
    return folder


QWEN_WORDS = {
    "<|endoftext|>": 300, "<|im_start|>": 301, "<|im_end|>": 302, "<|vision_start|>": 303,
    "<|vision_end|>": 304,
    "<|vision_pad|>": 305, "<|image_pad|>": 306, "<|video_pad|>": 307,
}  # fmt: skip


def qwen_config(family: str, tied: bool = False) -> dict[str, Any]:
    """config.json of a tiny Qwen2-VL (`qwen2_vl`) or Qwen2.5-VL (`qwen2_5_vl`), as flat as
    published.
    """
    newer = family == "qwen2_5_vl"
    vision: dict[str, Any] = {
        "depth": 3 if newer else 2, "num_heads": 2, "in_chans": 3, "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14, "temporal_patch_size": 2,
    }  # fmt: skip
    if newer:
        vision |= {
            "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 64,
            "window_size": 56,
            "fullatt_block_indexes": [1], "tokens_per_second": 2,
        }  # fmt: skip
    else:
        vision |= {"embed_dim": 32, "mlp_ratio": 2, "hidden_size": 64}
    return {
        "architectures": [f"{'Qwen2_5_VL' if newer else 'Qwen2VL'}ForConditionalGeneration"],
        "model_type": family, "attention_dropout": 0.0, "bos_token_id": 300, "eos_token_id": 302,
        "vision_start_token_id": 303, "vision_end_token_id": 304, "vision_token_id": 305,
        "image_token_id": 306,
        "video_token_id": 307, "hidden_act": "silu", "hidden_size": 64, "initializer_range": 0.02,
        "intermediate_size": 96, "max_position_embeddings": 32768, "max_window_layers": 2,
        "num_attention_heads": 4,
        "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "sliding_window": 32768, "tie_word_embeddings": tied, "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False, "vision_config": vision, "vocab_size": WORDS,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
    }  # fmt: skip


def qwen_tensors(family: str, tied: bool = False) -> Tensors:
    """Every tensor of Qwen2-VL or Qwen2.5-VL, by its published name."""
    config = qwen_config(family, tied)
    made = dict(llama("", config))
    for name, tensor in list(made.items()):
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            made[name.replace("weight", "bias")] = Drawn(tensor.shape[:1], 0.5)
    if tied:
        del made["lm_head.weight"]
    return made | dict(_qwen_tower(config["vision_config"], family == "qwen2_5_vl"))


def _qwen_tower(vision: dict[str, Any], newer: bool) -> Iterator[tuple[str, Drawn]]:
    width, inner = 32, vision.get("intermediate_size", 64)
    mlp = (("gate_proj", inner, width), ("up_proj", inner, width), ("down_proj", width, inner))
    if not newer:
        mlp = (("fc1", inner, width), ("fc2", width, inner))  # type: ignore[assignment]
    yield "visual.patch_embed.proj.weight", Drawn((width, 3, 2, 14, 14), 1176**-0.5)
    norms = [
        f"visual.blocks.{n}.{norm}" for n in range(vision["depth"]) for norm in ("norm1", "norm2")
    ]
    for norm in [*norms, "visual.merger.ln_q"]:
        yield f"{norm}.weight", Drawn((width,), 0.1, 1.0)
        if not newer:
            yield f"{norm}.bias", Drawn((width,), 0.1)
    linear = [("visual.merger.mlp.0", 128, 128), ("visual.merger.mlp.2", 64, 128)]
    for number in range(vision["depth"]):
        block = f"visual.blocks.{number}"
        linear += [(f"{block}.attn.qkv", 96, width), (f"{block}.attn.proj", width, width)]
        linear += [(f"{block}.mlp.{name}", outputs, inputs) for name, outputs, inputs in mlp]
    for name, outputs, inputs in linear:
        yield f"{name}.weight", Drawn((outputs, inputs), 2 * inputs**-0.5)
        yield f"{name}.bias", Drawn((outputs,), 0.1)


def write_qwen(folder: Path, family: str, tied: bool = False, shards: int = 2) -> Path:
    """Write a folder of Qwen2-VL or Qwen2.5-VL; the newer one says what it said before less
    willingly.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", qwen_config(family, tied))
    generation = {
        "bos_token_id": 300,
        "pad_token_id": 300,
        "do_sample": True,
        "eos_token_id": [302, 300],
    }
    penalty = 1.05 if family == "qwen2_5_vl" else 1.0
    write_json(folder / "generation_config.json", generation | {"repetition_penalty": penalty})
    write_tokenizer(folder, QWEN_WORDS, None)
    write_shards(folder, qwen_tensors(family, tied), shards)
    return folder


def write_all(model_folder: Path, names: Sequence[str] = ()) -> Path:
    """Write the tiny captioners below the folder."""
    from tests import tiny_newer, tiny_sharegpt4v

    writers = {
        PLLAVA: write_pllava, QWEN2: lambda folder: write_qwen(folder, "qwen2_vl"),
        QWEN25: lambda folder: write_qwen(folder, "qwen2_5_vl"),
        tiny_newer.QWEN3: tiny_newer.write_qwen3, tiny_newer.INTERNVL: tiny_newer.write_internvl,
        tiny_sharegpt4v.MODEL: lambda folder: tiny_sharegpt4v.write(folder.parent),
    }  # fmt: skip
    for name, write in writers.items():
        if not names or name in names:
            write(model_folder / name)
    return model_folder


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.tiny_captioners FOLDER")
    print(write_all(Path(sys.argv[1])))
