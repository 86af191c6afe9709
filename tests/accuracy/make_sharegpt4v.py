"""Makes data/sharegpt4v.json and sharegpt4v.npz, once, with transformers' own LLaVA: see
make_references.py for how.

The weights are read by torch.load, named as transformers names them, and run by
LlavaForConditionalGeneration; texts are cut by its slow LlamaTokenizer on the package
sentencepiece, pictures prepared by its LlavaImageProcessor, which pads. The conversation is that of
ShareGPT4V's `vicuna_v1`, cut at its pictures as its tokenizer_image_token does.
``python -m tests.accuracy.make_sharegpt4v``
"""

from __future__ import annotations

import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
)
from transformers.models.llava.image_processing_llava import LlavaImageProcessor

from tests import tiny_captioners as tiny
from tests import tiny_sharegpt4v
from tests.accuracy import captions, inputs
from tests.accuracy.make_captions import said

IMAGE = 0  # stands for a picture: <unk>, which no text has
BEFORE = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: "
)
Arrays = dict[str, Any]
Facts = dict[str, Any]


def main() -> None:
    """Write the references."""
    versions = {"python": platform.python_version(), "pillow": __import__("PIL").__version__}
    versions |= {
        m.__name__: m.__version__ for m in (torch, transformers, np, __import__("sentencepiece"))
    }
    facts: Facts = {"made_by": "python -m tests.accuracy.make_sharegpt4v", "versions": versions}
    facts["videos"] = [inputs.checksum(video) for video in tiny.videos()]
    arrays: Arrays = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        made = tiny_sharegpt4v.write(Path(folder))
        model, loading = loaded(made)
        facts["keys"] = loading
        tokenizer = LlamaTokenizer(str(made / "tokenizer.model"), legacy=False)
        for number, video in enumerate(tiny.videos()):
            for frames in captions.PICTURES:
                seen(model, tokenizer, video, frames, f"{number} {frames}", arrays, facts)
    np.savez_compressed(inputs.DATA / "sharegpt4v.npz", **arrays)
    (inputs.DATA / "sharegpt4v.json").write_text(
        json.dumps(facts, indent=1) + "\n", encoding="utf-8"
    )


def loaded(folder: Path) -> tuple[Any, Facts]:
    """transformers' LLaVA with the weights of both folders; the names that fit nowhere: none."""
    given, tower = (
        json.loads((f / "config.json").read_text())
        for f in (folder, folder.parent / tiny_sharegpt4v.TOWER)
    )
    text = LlamaConfig(
        **{k: v for k, v in given.items() if not k.startswith("mm_") and k != "model_type"}
    )
    config = LlavaConfig(
        CLIPVisionConfig(**tower), text, image_token_index=IMAGE, vision_feature_layer=-2
    )
    config._attn_implementation = "eager"
    model = LlavaForConditionalGeneration(config).float().eval()
    names = {"model.mm_projector.0": "model.multi_modal_projector.linear_1",
             "model.mm_projector.2": "model.multi_modal_projector.linear_2"}  # fmt: skip
    state: dict[str, Any] = {}
    for file in sorted(folder.glob("*.bin")):
        for name, tensor in torch.load(file, weights_only=True).items():
            stem = next(
                (
                    new + name.removeprefix(old)
                    for old, new in names.items()
                    if name.startswith(old)
                ),
                None,
            )
            inner = (
                f"model.language_model.{name.removeprefix('model.')}"
                if name != "lm_head.weight"
                else name
            )
            state[stem or inner] = tensor.float()
    for file in (folder.parent / tiny_sharegpt4v.TOWER).glob("*.bin"):
        found = torch.load(file, weights_only=True)
        state |= {f"model.vision_tower.{name}": tensor.float() for name, tensor in found.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    return model, {"missing": list(missing), "unexpected": list(unexpected)}


def seen(
    model: Any, tokenizer: Any, video: Any, frames: int, key: str, arrays: Arrays, facts: Facts
) -> None:  # fmt: skip
    """Pixels, features and greedy words of some frames of a video: the middles of equal parts."""
    chosen = video[[int((n + 0.5) * len(video) / frames) for n in range(frames)]]
    processor = LlavaImageProcessor(
        do_pad=True, size={"shortest_edge": 112}, crop_size={"height": 112, "width": 112}
    )  # fmt: skip
    pixels = processor(list(chosen), return_tensors="np", input_data_format="channels_last")[
        "pixel_values"
    ]
    arrays |= captions.digest(f"pixels {key}", pixels)
    pixels = torch.from_numpy(np.asarray(pixels, np.float32))
    features = model.get_image_features(
        pixels, vision_feature_layer=-2, vision_feature_select_strategy="default"
    )
    arrays |= captions.digest(f"features {key}", torch.cat(list(features)).numpy())
    text = BEFORE + "<image>\n" * frames + captions.QUESTION + " ASSISTANT:"
    parts = [tokenizer(part)["input_ids"] for part in text.split("<image>")]
    parts = [parts[0], *(part[1:] for part in parts[1:])]  # each begins with <s>
    ids = list(parts[0])
    for part in parts[1:]:
        ids += [IMAGE] * features[0].shape[0] + part
    given = torch.tensor([ids])
    out = model.generate(
        input_ids=given, attention_mask=torch.ones_like(given), pixel_values=pixels,
        do_sample=False, num_beams=1,
        max_new_tokens=captions.LENGTH, eos_token_id=2, pad_token_id=0, output_scores=True,
        return_dict_in_generate=True,
    )  # fmt: skip
    facts[key] = said(out, len(ids), tokenizer, {2}) | {"prompt": parts}


if __name__ == "__main__":
    main()
