"""Writes models with random weights in the published file layouts, so that the real code can load
and run them.

The weights come from NumPy's RandomState, whose stream never changes (NEP 19), one stream a tensor:
the same on every host, without torch and without weights in the repository. They are scaled so that
activations stay around 1 and outputs differ well between inputs. ``python -m tests.tiny FOLDER``
writes all four where `curate models` looks.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models.layouts import expected

CLIP, AESTHETIC, NSFW, LPIPS = "clip-vit-large-patch14", "aesthetic-l14", "nsfw-l14", "lpips-vgg16"
DIM = 768  # of the common embedding space, which the heads of ViT-L/14 take
CHANNELS = (
    64,
    64,
    128,
    128,
    256,
    256,
    256,
    512,
    512,
    512,
    512,
    512,
    512,
)  # of VGG16's convolutions
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # their places among its layers
TAPS = (64, 128, 256, 512, 512)  # channels of the five features that LPIPS compares

Size = Literal["tiny", "vit-b-32", "vit-l-14"]
# a patch's side; widths, layers and heads of the text and of the image tower
_SIZES: dict[Size, tuple[int, tuple[int, int, int], tuple[int, int, int]]] = {
    "tiny": (32, (64, 2, 4), (64, 2, 4)),
    "vit-b-32": (32, (512, 12, 8), (768, 12, 12)),
    "vit-l-14": (14, (768, 12, 12), (1024, 24, 16)),
}
_MERGES = Path(__file__).parent / "accuracy" / "data" / "clip_merges.txt.gz"
_CHUNK = 1 << 20  # numbers drawn at once


@dataclass(frozen=True)
class Drawn:
    """A tensor of normal random numbers: mean + std * n, or mean + std * |n|."""

    shape: tuple[int, ...]
    std: float
    mean: float = 0.0
    positive: bool = False


def write_all(model_folder: Path, seed: int = 0) -> Path:
    """Write the four tiny models below the folder, under the default names of the stages."""
    write_clip(model_folder / CLIP, seed=seed)
    write_aesthetic(model_folder / AESTHETIC, seed)
    write_nsfw(model_folder / NSFW, seed)
    write_lpips(model_folder / LPIPS, seed)
    return model_folder


def write_clip(folder: Path, size: Size = "tiny", seed: int = 0) -> Path:
    """Write a CLIP model in Hugging Face's layout: config, weights and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    config = clip_config(size)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_safetensors(folder / "model.safetensors", clip_tensors(config), seed)
    write_tokenizer(folder / "tokenizer.json")
    return folder


def write_aesthetic(folder: Path, seed: int = 0) -> Path:
    """Write an aesthetic head, 768-1024-128-64-16-1 and linear throughout; scores of unit vectors
    are about 5 +- 1.
    """
    widths = {0: (DIM, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}
    tensors: dict[str, Drawn] = {}
    for layer, (inputs, outputs) in widths.items():
        # a unit vector has entries of 1 / sqrt(768), so the first layer starts from 1
        tensors[f"layers.{layer}.weight"] = Drawn(
            (outputs, inputs), 1.0 if layer == 0 else inputs**-0.5
        )
        tensors[f"layers.{layer}.bias"] = Drawn((outputs,), 0.1, 5.0 if layer == 7 else 0.0)
    return _write_head(folder, tensors, seed)


def write_nsfw(folder: Path, seed: int = 0) -> Path:
    """Write an NSFW head: a fixed normalisation, then 768-64-512-256-1; probabilities spread over 0
    to 1.
    """
    spread = DIM**-0.5
    tensors = {
        "norm.mean": Drawn((DIM,), 0.3 * spread),
        "norm.variance": Drawn((DIM,), 0.3 * spread**2, 0.7 * spread**2, positive=True),
    }
    widths = (DIM, 64, 512, 256, 1)
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths), 1):
        tensors[f"linear_{layer}.weight"] = Drawn((outputs, inputs), (2 / inputs) ** 0.5)
        tensors[f"linear_{layer}.bias"] = Drawn((outputs,), 0.1)
    return _write_head(folder, tensors, seed)


def write_lpips(folder: Path, seed: int = 0) -> Path:
    """Write VGG16's convolutions at full size and LPIPS' five non-negative channel weightings."""
    tensors: dict[str, Drawn] = {}
    inputs = 3
    for layer, outputs in zip(CONVOLUTIONS, CHANNELS, strict=True):
        tensors[f"features.{layer}.weight"] = Drawn(
            (outputs, inputs, 3, 3), (2 / (9 * inputs)) ** 0.5
        )
        tensors[f"features.{layer}.bias"] = Drawn((outputs,), 0.1)
        inputs = outputs
    for tap, channels in enumerate(TAPS):
        tensors[f"lin{tap}.model.1.weight"] = Drawn((1, channels, 1, 1), 0.2, positive=True)
    return _write_head(folder, tensors, seed)


def write_transnet(folder: Path, seed: int = 0) -> Path:
    """Write TransNetV2 at full size; probabilities of random frames spread over 0 to 1."""
    return _write_convolutions(folder, "transnetv2", ("running_var", "bn.weight"), seed)


def write_efficientnet(folder: Path, seed: int = 0) -> Path:
    """Write EfficientNet-Lite0 at full size."""
    return _write_convolutions(folder, "efficientnet_lite0", ("running_var", ".weight"), seed)


def _write_convolutions(folder: Path, layout: str, factors: tuple[str, ...], seed: int) -> Path:
    """Write a network of convolutions; `factors` are the ends of names of vectors that are
    positive.
    """
    tensors = {}
    for name, shape in expected(layout, {}).items():
        if len(shape) == 1 and name.endswith(factors):
            tensors[name] = Drawn(shape, 0.3, 0.7, positive=True)
        elif len(shape) == 1:
            tensors[name] = Drawn(shape, 0.1)
        else:
            tensors[name] = Drawn(shape, (2 / math.prod(shape[1:])) ** 0.5)
    return _write_head(folder, tensors, seed)


def write_minilm(folder: Path, seed: int = 0) -> Path:
    """Write a BERT in all-MiniLM-L6-v2's layout: 2 layers, 48 wide, and a tokenizer that has each
    letter and no whole word.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu",
        "hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 12,
        "num_hidden_layers": 2, "vocab_size": 57, "max_position_embeddings": 512,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    write_safetensors(folder / "model.safetensors", dict(_bert(48, 96)), seed)
    write_word_pieces(folder / "tokenizer.json")
    return folder


def _bert(width: int, inner: int) -> Iterator[tuple[str, Drawn]]:
    for name, count in (("word", 57), ("position", 512), ("token_type", 2)):
        yield f"embeddings.{name}_embeddings.weight", Drawn((count, width), 1.0)
    yield from _layer_norm("embeddings.LayerNorm", width)
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        for name in ("query", "key", "value"):
            yield from _linear(f"{layer}.attention.self.{name}", width, width, 2.0)
        yield from _linear(f"{layer}.attention.output.dense", width, width, 0.7)
        yield from _layer_norm(f"{layer}.attention.output.LayerNorm", width)
        yield from _linear(f"{layer}.intermediate.dense", width, inner, 1.0)
        yield from _linear(f"{layer}.output.dense", inner, width, 0.7)
        yield from _layer_norm(f"{layer}.output.LayerNorm", width)
    yield from _linear("pooler.dense", width, width, 1.0)


def _write_head(folder: Path, tensors: Mapping[str, Drawn], seed: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", tensors, seed)
    return folder


def clip_config(size: Size = "tiny") -> dict[str, Any]:
    """The config.json of a CLIP model; ids of special tokens as in openai/clip-vit-large-patch14 (2
    means: the largest id, which end-of-text is).
    """
    patch, of_text, of_images = _SIZES[size]
    text = {
        "model_type": "clip_text_model", "vocab_size": 49408, "max_position_embeddings": 77,
        "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, **_widths(*of_text),
    }  # fmt: skip
    vision = {
        "model_type": "clip_vision_model", "image_size": 224, "patch_size": patch,
        "num_channels": 3, **_widths(*of_images),
    }  # fmt: skip
    return {
        "architectures": ["CLIPModel"], "model_type": "clip", "torch_dtype": "float32",
        "initializer_factor": 1.0,
        "projection_dim": DIM, "logit_scale_init_value": 2.6592, "text_config": text,
        "vision_config": vision,
    }  # fmt: skip


def _widths(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "projection_dim": DIM, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "attention_dropout": 0.0, "dropout": 0.0, "initializer_factor": 1.0,
        "initializer_range": 0.02,
    }  # fmt: skip


def clip_tensors(config: Mapping[str, Any]) -> dict[str, Drawn]:
    """Every tensor of a CLIP model, by its name in Hugging Face's CLIPModel."""
    return {
        "logit_scale": Drawn((), 0.0, math.log(100)),
        **dict(_text_tower(config)),
        **dict(image_tower(config)),
    }


def _text_tower(config: Mapping[str, Any]) -> Iterator[tuple[str, Drawn]]:
    text = config["text_config"]
    width = text["hidden_size"]
    yield "text_projection.weight", Drawn((DIM, width), width**-0.5)
    yield "text_model.embeddings.token_embedding.weight", Drawn((text["vocab_size"], width), 1.0)
    yield "text_model.embeddings.position_embedding.weight", Drawn((77, width), 0.3)
    yield from _encoder("text_model", text)
    yield from _layer_norm("text_model.final_layer_norm", width)


def image_tower(config: Mapping[str, Any]) -> Iterator[tuple[str, Drawn]]:
    """CLIP's image tower and its projection."""
    vision = config["vision_config"]
    wide, patch = vision["hidden_size"], vision["patch_size"]
    pixels, places = 3 * patch * patch, (vision["image_size"] // patch) ** 2 + 1
    yield "visual_projection.weight", Drawn((DIM, wide), wide**-0.5)
    yield "vision_model.embeddings.class_embedding", Drawn((wide,), 0.1)
    yield (
        "vision_model.embeddings.patch_embedding.weight",
        Drawn((wide, 3, patch, patch), pixels**-0.5),
    )
    yield "vision_model.embeddings.position_embedding.weight", Drawn((places, wide), 0.1)
    yield from _layer_norm("vision_model.pre_layrnorm", wide)
    yield from _encoder("vision_model", vision)
    yield from _layer_norm("vision_model.post_layernorm", wide)


def _encoder(tower: str, config: Mapping[str, Any]) -> Iterator[tuple[str, Drawn]]:
    width, inner, layers = (
        config["hidden_size"],
        config["intermediate_size"],
        config["num_hidden_layers"],
    )
    residual = layers**-0.5  # what each layer adds stays in proportion, however many there are
    for number in range(layers):
        layer = f"{tower}.encoder.layers.{number}"
        for name in ("q", "k", "v"):
            # sharp attention (logits of about 4), so that a few places of an input decide
            yield from _linear(f"{layer}.self_attn.{name}_proj", width, width, 2.0)
        yield from _linear(f"{layer}.self_attn.out_proj", width, width, residual)
        yield from _layer_norm(f"{layer}.layer_norm1", width)
        yield from _linear(f"{layer}.mlp.fc1", width, inner, 1.0)
        yield from _linear(f"{layer}.mlp.fc2", inner, width, residual)
        yield from _layer_norm(f"{layer}.layer_norm2", width)


def _linear(name: str, inputs: int, outputs: int, gain: float) -> Iterator[tuple[str, Drawn]]:
    yield f"{name}.weight", Drawn((outputs, inputs), gain * inputs**-0.5)
    yield f"{name}.bias", Drawn((outputs,), 0.1)


def _layer_norm(name: str, width: int) -> Iterator[tuple[str, Drawn]]:
    yield f"{name}.weight", Drawn((width,), 0.1, 1.0)
    yield f"{name}.bias", Drawn((width,), 0.1)


def write_safetensors(path: Path, tensors: Mapping[str, Drawn], seed: int = 0) -> None:
    """Write a float32 safetensors file, drawing and writing a few megabytes at a time."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + 4 * math.prod(tensor.shape)
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, tensor in tensors.items():
            write_numbers(file, tensor, np.random.RandomState([seed, zlib.crc32(name.encode())]))


def write_numbers(file: BinaryIO, tensor: Drawn, random: np.random.RandomState) -> None:
    """Draw the numbers of a tensor and write them, a chunk at a time."""
    count = math.prod(tensor.shape)
    for start in range(0, count, _CHUNK):
        numbers: NDArray[np.float64] = random.standard_normal(min(_CHUNK, count - start))
        numbers = tensor.mean + tensor.std * (np.abs(numbers) if tensor.positive else numbers)
        file.write(numbers.astype("<f4").tobytes())


def merges() -> list[tuple[str, str]]:
    """CLIP's 48,894 byte-pair merges, best first."""
    lines = gzip.decompress(_MERGES.read_bytes()).decode("utf-8").splitlines()
    return [(left, right) for left, _, right in (line.partition(" ") for line in lines)]


def vocabulary() -> dict[str, int]:
    """CLIP's 49,408 tokens and their ids: bytes, bytes at the end of a word, merges, start and end
    of a text.
    """
    alphabet = byte_letters()
    words = [
        *alphabet,
        *(letter + "</w>" for letter in alphabet),
        *(left + right for left, right in merges()),
    ]
    return {
        word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])
    }


def byte_letters() -> list[str]:
    """A printable letter for each byte, in CLIP's order: printable bytes stand for themselves and
    come first.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]


def write_tokenizer(path: Path) -> None:
    """Write the tokenizer.json of OpenAI's CLIP: lower case, NFC, CLIP's words, byte pairs, start
    and end of text.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    words = vocabulary()
    start, end = ((t, words[t]) for t in ("<|startoftext|>", "<|endoftext|>"))
    made = Tokenizer(
        models.BPE(
            words,
            merges(),
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            unk_token=end[0],
        )
    )
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    made.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
    pattern = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    split = pre_tokenizers.Split(pattern, behavior="removed", invert=True)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.post_processor = processors.RobertaProcessing(
        sep=end, cls=start, trim_offsets=False, add_prefix_space=False
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(
        [AddedToken(token, normalized=True, special=True) for token, _ in (start, end)]
    )
    made.save(str(path))


def write_word_pieces(path: Path) -> None:
    """Write a tokenizer.json of BERT: lower case, letters as pieces of words, 5 marks."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = "abcdefghijklmnopqrstuvwxyz"
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*marks, *letters, *(f"##{letter}" for letter in letters)]
    words = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_truncation(128)  # as the published file asks for
    made.enable_padding(length=128)
    made.save(str(path))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.tiny FOLDER")
    print(write_all(Path(sys.argv[1])))
