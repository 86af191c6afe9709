"""The tensors of PLLaVA as its authors published it (ermu2001/pllava-7b and 13b), and its config.

The language model was trained with LoRA and saved with it: its names are those of PEFT, the
matrices that LoRA changes are called base_layer, and the two small matrices of each change lie
beside them. A folder without LoRA has the names of transformers' LLaVA instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from curate.tasks.captioners.llava_layout import (
    clip,
    clip_config,
    llama,
    llama_config,
    position_ids,
    projector,
    skipped_layers,
)
from curate.tasks.models.checkpoint import Tensor
from curate.tasks.models.layouts import Shape, Shapes

PROJECTOR = ("multi_modal_projector.linear_1", "multi_modal_projector.linear_2")
_WRAPPED = "language_model.base_model.model."
_PLAIN = "language_model."
_BASE = ".base_layer"
_LORA = re.compile(r"\.self_attn\.(\w+_proj)\.lora_(A|B)\.default\.weight$")
# what LLaVA 1.5 has, and the config of PLLaVA leaves out
VISION = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "patch_size": 14, "image_size": 336, "num_channels": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Naming:
    """How a checkpoint calls its language model: by PEFT or not, and which projections LoRA
    changes, of what rank.
    """

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
    ranks = [
        tensors[name].shape[0] for name, m in found.items() if m[2] == "A" and tensors[name].shape
    ]
    return Naming(
        _WRAPPED if any(name.startswith(_WRAPPED) for name in tensors) else _PLAIN,
        frozenset(m[1] for m in found.values()),
        ranks[0] if ranks else 0,
        _BASE if any(f"{_BASE}." in name for name in tensors) else "",
    )


def text_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the language model, a Llama. Raises ValueError when it is none that can
    be run.
    """
    given = _object(config, "text_config")
    if given.get("model_type", "llama") != "llama":
        raise ValueError(f"the language model is {str(given['model_type'])[:40]}, not llama")
    return llama_config(given)


def vision_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the image tower, a CLIP. Raises ValueError."""
    return clip_config(VISION | dict(_object(config, "vision_config")))


def expected(config: Mapping[str, Any], names: Naming) -> Shapes:
    """The tensors that a checkpoint must hold, all of them. Raises ValueError when its config is
    none.
    """
    text, vision = text_config(config), vision_config(config)
    return dict(_all(text, vision, names))


def optional(config: Mapping[str, Any]) -> Shapes:
    """A tensor of whole numbers that older checkpoints hold besides, and that nothing reads."""
    return {
        f"vision_tower.{name}": shape for name, shape in position_ids(vision_config(config)).items()
    }


def _all(text: Any, vision: Any, names: Naming) -> Iterator[tuple[str, Shape]]:
    for name, shape in llama(text):
        yield names.published(name), shape
        pair = names.lora(name)
        if pair:
            yield pair[0], (names.rank, shape[1])
            yield pair[1], (shape[0], names.rank)
    for name, shape in clip(vision):
        yield f"vision_tower.{name}", shape
    yield from projector(PROJECTOR, vision, text)


def skipped(config: Mapping[str, Any], vision: Any) -> int:
    """Layers of the tower that are not run. Raises ValueError where its states are used otherwise
    than LLaVA does.
    """
    if config.get("vision_feature_select_strategy", "default") != "default":
        raise ValueError("vision_feature_select_strategy must be default")
    return skipped_layers(config, "vision_feature_layer", vision)


def _object(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{key} is no object")
    return value or {}
