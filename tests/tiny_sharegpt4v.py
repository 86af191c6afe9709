"""Writes a ShareGPT4V with random weights as it is published: two folders of pickles, words by
SentencePiece.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests import torch_files
from tests.tiny import Drawn, write_numbers
from tests.tiny_captioners import WORDS, Tensors, clip_tower, llama, write_json

MODEL, TOWER = "ShareGPT4V-7B", "ShareGPT4V-7B_Pretrained_vit-large336-l12"
INDEX = "pytorch_model.bin.index.json"
_PAIRS = [
    "\u2581t",
    "he",
    "in",
    "\u2581a",
    "re",
    "\u2581the",
    "on",
    "er",
    "\u2581s",
    "at",
    "is",
    "\u2581w",
    "hat",
    "ing",
    "\u2581in",
]
_LETTERS = "\u2581etaoinshrdlucmfwypvbgkASUERINTW.,:'?"
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def pieces() -> list[tuple[str, float, int]]:
    """As many as WORDS, in the order of Llama's: special words, bytes, pairs by score, letters."""
    known = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    known += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    words = [*_PAIRS, *_LETTERS]
    words += [f"unused{n}" for n in range(WORDS - len(known) - len(words))]
    return known + [(word, -float(n), NORMAL) for n, word in enumerate(words)]


def write_pieces(file: Path) -> None:
    """Write a tokenizer.model: BPE with bytes, texts not changed but for a space in front, as
    Llama's.
    """
    made = b""
    for word, score, kind in pieces():
        fields = torch_files.field(1, word.encode()) + b"\x15" + struct.pack("<f", score)
        made += torch_files.field(1, fields + b"\x18" + torch_files.varint(kind))
    training = (
        b"\x18\x02" + b"\x20" + torch_files.varint(WORDS) + torch_files.varint(35 << 3) + b"\x01"
    )
    normalising = torch_files.field(1, b"identity") + b"\x18\x01\x20\x00\x28\x01"
    file.write_bytes(made + torch_files.field(2, training) + torch_files.field(3, normalising))


def config() -> dict[str, Any]:
    """config.json of a tiny ShareGPT4V, with the keys of the published one."""
    return {
        "architectures": ["Share4VLlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "freeze_mm_mlp_adapter": False, "hidden_act": "silu", "hidden_size": 64,
        "image_aspect_ratio": "pad",
        "image_grid_pinpoints": None, "initializer_range": 0.02, "intermediate_size": 96,
        "max_position_embeddings": 4096, "mm_hidden_size": 32, "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False, "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2, "mm_vision_tower": f"Lin-Chen/{TOWER}",
        "model_type": "share4v",
        "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 4,
        "pad_token_id": 0,
        "pretraining_tp": 1, "rms_norm_eps": 1e-5, "rope_scaling": None,
        "tie_word_embeddings": False,
        "torch_dtype": "float16", "transformers_version": "4.31.0", "tune_entire_model": False,
        "use_cache": True,
        "use_mm_proj": True, "vocab_size": WORDS,
    }  # fmt: skip


def tower_config() -> dict[str, Any]:
    """config.json of a tiny image tower: 8 x 8 patches a picture."""
    return {
        "architectures": ["CLIPVisionModel"], "attention_dropout": 0.0, "dropout": 0.0,
        "hidden_act": "quick_gelu",
        "hidden_size": 32, "image_size": 112, "initializer_factor": 1.0, "initializer_range": 0.02,
        "intermediate_size": 64, "layer_norm_eps": 1e-5, "model_type": "clip_vision_model",
        "num_attention_heads": 2,
        "num_channels": 3, "num_hidden_layers": 3, "patch_size": 14, "projection_dim": 16,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.31.0",
    }  # fmt: skip


def tensors() -> Tensors:
    """Every tensor of the model's folder, by its published name."""
    made = dict(llama("", config()))
    for number, inputs in ((0, 32), (2, 64)):
        made[f"model.mm_projector.{number}.weight"] = Drawn((64, inputs), 2 * inputs**-0.5)
        made[f"model.mm_projector.{number}.bias"] = Drawn((64,), 0.1)
    return made


def drawn(name: str, tensor: Drawn, seed: int = 0) -> NDArray[np.float32]:
    """The numbers of a tensor, as tiny.write_safetensors writes them."""
    made = io.BytesIO()
    write_numbers(made, tensor, np.random.RandomState([seed, zlib.crc32(name.encode())]))  # type: ignore[arg-type]
    return np.frombuffer(made.getvalue(), np.float32).reshape(tensor.shape)


def halves(made: Tensors) -> dict[str, NDArray[np.float16]]:
    """The numbers of tensors in float16."""
    return {name: drawn(name, tensor).astype(np.float16) for name, tensor in made.items()}


def brains(made: Tensors) -> dict[str, NDArray[np.uint16]]:
    """The numbers of tensors in bfloat16, as its bits."""
    return {
        name: (drawn(name, tensor).view(np.uint32) >> 16).astype(np.uint16)
        for name, tensor in made.items()
    }


def write_pickles(folder: Path, arrays: Mapping[str, NDArray[Any]], shards: int = 2) -> None:
    """Write arrays as torch does, into several files and their index, or into one."""
    if shards == 1:
        torch_files.save(folder / "pytorch_model.bin", arrays)
        return
    files = [f"pytorch_model-{n:05}-of-{shards:05}.bin" for n in range(1, shards + 1)]
    where = {name: files[number * shards // len(arrays)] for number, name in enumerate(arrays)}
    for file in files:
        torch_files.save(
            folder / file, {name: arrays[name] for name in arrays if where[name] == file}
        )
    write_json(folder / INDEX, {"metadata": {"total_size": 0}, "weight_map": where})


def write(model_folder: Path, extra: Sequence[tuple[str, Drawn]] = ()) -> Path:
    """Write both folders side by side, with tensors besides in the model's; returns the model's."""
    folder, tower = model_folder / MODEL, model_folder / TOWER
    for made in (folder, tower):
        made.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config())
    write_pieces(folder / "tokenizer.model")
    write_pickles(folder, halves(tensors() | dict(extra)))
    write_json(tower / "config.json", tower_config())
    write_pickles(tower, brains(dict(clip_tower("", tower_config()))), 1)
    return folder
