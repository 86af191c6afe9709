"""The tensors of PLLaVA as its authors published it (ermu2001/pllava-7b and 13b), and its config.

The language model was trained with LoRA and saved with it: its names are those of PEFT, the matrices that LoRA changes
are called base_layer, and the two small matrices of each change lie beside them. A folder without LoRA has the names
of transformers' LLaVA instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from curate.tasks.caption.models.weights import linear, size
from curate.tasks.models import mindone_light
from curate.tasks.models.checkpoint import Tensor
from curate.tasks.models.layouts import Shape, Shapes, vision_model

_WRAPPED = "language_model.base_model.model."
_PLAIN = "language_model."
_BASE = ".base_layer"
_LORA = re.compile(r"\.self_attn\.(\w+_proj)\.lora_(A|B)\.default\.weight$")
# what LLaVA 1.5 has, and the config of PLLaVA leaves out
VISION = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "patch_size": 14, "image_size": 336, "num_channels": 3,
}  # fmt: skip
_LARGEST_VOCABULARY = 1 << 20


@dataclass(frozen=True)
class Naming:
    """How a checkpoint calls its language model: by PEFT or not, and which projections LoRA changes, of what rank."""

    prefix: str
    changed: frozenset[str]
    rank: int
    base: str

    def published(self, name: str) -> str:
        """The name in the checkpoint of a tensor called `name` in a plain Llama."""
        *parts, last = name.split(".")
        base = self.base if len(parts) > 1 and parts[-1] in self.changed else ""
        return f"{self.prefix}{'.'.join(parts)}{base}.{last}"

    def lora(self, name: str) -> tuple[str, str] | None:
        """The two tensors that change the one called `name`; None where nothing does."""
        *parts, last = name.split(".")
        if last != "weight" or len(parts) < 2 or parts[-1] not in self.changed:
            return None
        stem = f"{self.prefix}{'.'.join(parts)}"
        return f"{stem}.lora_A.default.weight", f"{stem}.lora_B.default.weight"


def naming(tensors: Mapping[str, Tensor]) -> Naming:
    """How these tensors are called."""
    found = {name: m for name in tensors if (m := _LORA.search(name))}
    ranks = [tensors[name].shape[0] for name, m in found.items() if m[2] == "A" and tensors[name].shape]
    return Naming(
        _WRAPPED if any(name.startswith(_WRAPPED) for name in tensors) else _PLAIN,
        frozenset(m[1] for m in found.values()),
        ranks[0] if ranks else 0,
        _BASE if any(f"{_BASE}." in name for name in tensors) else "",
    )


def text_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the language model, a Llama. Raises ValueError when it is none that can be run."""
    given = dict(_object(config, "text_config"))
    if given.get("model_type", "llama") != "llama":
        raise ValueError(f"the language model is {str(given['model_type'])[:40]}, not llama")
    if given.get("rope_scaling") or given.get("attention_bias") or given.get("mlp_bias"):
        raise ValueError("rope_scaling, attention_bias and mlp_bias are not supported")
    for key, default, largest in (
        ("hidden_size", 4096, 1 << 16), ("intermediate_size", 11008, 1 << 18), ("num_hidden_layers", 32, 256),
        ("num_attention_heads", 32, 512), ("vocab_size", 32000, _LARGEST_VOCABULARY),
    ):  # fmt: skip
        size(given, key, default, largest)
    return mindone_light.transformers().LlamaConfig(**given)


def vision_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the image tower, a CLIP. Raises ValueError."""
    given = VISION | dict(_object(config, "vision_config"))
    for key in VISION:
        size(given, key, None, 1 << 16)
    return mindone_light.transformers().CLIPVisionConfig(**given)


def expected(config: Mapping[str, Any], names: Naming) -> Shapes:
    """The tensors that a checkpoint must hold, all of them. Raises ValueError when its config is none."""
    text, vision = text_config(config), vision_config(config)
    return dict(_all(text, vision, names))


def optional(config: Mapping[str, Any]) -> Shapes:
    """A tensor of whole numbers that older checkpoints hold besides, and that nothing reads."""
    vision = vision_config(config)
    places = (vision.image_size // vision.patch_size) ** 2 + 1
    return {"vision_tower.vision_model.embeddings.position_ids": (1, places)}


def _all(text: Any, vision: Any, names: Naming) -> Iterator[tuple[str, Shape]]:
    for name, shape in llama(text):
        yield names.published(name), shape
        pair = names.lora(name)
        if pair:
            yield pair[0], (names.rank, shape[1])
            yield pair[1], (shape[0], names.rank)
    for name, shape in vision_model({key: int(getattr(vision, key)) for key in VISION}):
        yield f"vision_tower.{name}", shape
    yield from linear("multi_modal_projector.linear_1", vision.hidden_size, text.hidden_size)
    yield from linear("multi_modal_projector.linear_2", text.hidden_size, text.hidden_size)


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


def _object(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{key} is no object")
    return value or {}
