"""The tensors of ShareGPT4V as published (Lin-Chen/ShareGPT4V-7B and its image tower), and their
configs.

The names are those of LLaVA 1.5's own code: a plain Llama, and `model.mm_projector` in it. The
image tower lies in another folder, as transformers saves a CLIPVisionModel, or a CLIPModel, of
which its half is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from curate.tasks.captioners.llava_layout import (
    VISION_SIZES,
    clip,
    clip_config,
    llama,
    llama_config,
    position_ids,
    projector,
)
from curate.tasks.models import layouts
from curate.tasks.models.layouts import Shape, Shapes

PROJECTOR = ("model.mm_projector.0", "model.mm_projector.2")
# what is done with the picture; all else would need other code
_SETTINGS = {
    "mm_projector_type": "mlp2x_gelu", "mm_vision_select_feature": "patch", "image_aspect_ratio": "pad",
    "mm_use_im_start_end": False,
}  # fmt: skip
_DEFAULTS = {"mm_vision_select_feature": "patch", "mm_use_im_start_end": False}
_LLAMA = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
    "hidden_act", "rms_norm_eps", "rope_theta", "rope_scaling", "attention_bias", "mlp_bias", "max_position_embeddings",
)  # fmt: skip
_CLIP = (*VISION_SIZES, "hidden_act", "layer_norm_eps")


def text_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the language model. Raises ValueError where something is to be done that
    is not known.
    """
    for key, wanted in _SETTINGS.items():
        found = config.get(key, _DEFAULTS.get(key))
        if found != wanted:
            raise ValueError(f"{key} is {str(found)[:40]}, not {wanted}")
    return llama_config({key: config[key] for key in _LLAMA if key in config})


def vision_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the image tower, from the config.json of its folder. Raises ValueError."""
    given = config.get("vision_config", {}) if config.get("model_type") == "clip" else config
    if not isinstance(given, dict):
        raise ValueError("vision_config is no object")
    return clip_config({"num_channels": 3} | {key: given[key] for key in _CLIP if key in given})


def expected(text: Any, vision: Any) -> Shapes:
    """The tensors that the folder of the model must hold, all of them."""
    return {**dict(llama(text)), **dict(projector(PROJECTOR, vision, text))}


def unread(text: Any) -> Shapes:
    """The tensors that it may hold besides: speeds of rotary positions, which older transformers
    saved.
    """
    return dict(_speeds(text))


def _speeds(text: Any) -> Iterator[tuple[str, Shape]]:
    for number in range(text.num_hidden_layers):
        yield f"model.layers.{number}.self_attn.rotary_emb.inv_freq", (text.head_dim // 2,)


def expected_tower(vision: Any) -> Shapes:
    """The tensors that the folder of the image tower must hold."""
    return dict(clip(vision))


def allowed_tower(vision: Any) -> Shapes:
    """A tensor of whole numbers that older towers hold besides."""
    return position_ids(vision)


def unread_tower(config: Mapping[str, Any]) -> Shapes:
    """The other half of a CLIPModel. Raises ValueError where its config is none."""
    if config.get("model_type") != "clip":
        return {}
    whole = layouts.expected("clip", config) | layouts.optional("clip", config)
    return {name: shape for name, shape in whole.items() if not name.startswith("vision_model.")}
