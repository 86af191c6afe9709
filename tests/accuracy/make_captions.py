"""Makes data/captions.json and captions.npz, once, with PyTorch and transformers: see
make_references.py for how.

Of transformers comes every network; PLLaVA itself, which needs a transformers of 2024, is put
together of its parts as its authors' modeling_pllava.py and processing_pllava.py say, with LoRA
left unmerged, as PEFT computes it.
``python -m tests.accuracy.make_captions``
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
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.image_transforms import get_resize_output_image_size, resize
from transformers.image_utils import ChannelDimension

from tests import tiny_captioners as tiny
from tests.accuracy import captions, inputs

Arrays = dict[str, Any]
Facts = dict[str, Any]
LAST = ChannelDimension.LAST


def main() -> None:
    """Write the references."""
    versions = {"python": platform.python_version(), "pillow": __import__("PIL").__version__}
    versions |= {m.__name__: m.__version__ for m in (torch, transformers, np)}
    facts: Facts = {"made_by": "python -m tests.accuracy.make_captions", "versions": versions}
    facts["videos"] = [inputs.checksum(video) for video in tiny.videos()]
    arrays: Arrays = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        models = tiny.write_all(Path(folder))
        pllava(models / tiny.PLLAVA, arrays, facts)
        qwen_pixels(arrays, facts)
        for name, family in ((tiny.QWEN2, "qwen2_vl"), (tiny.QWEN25, "qwen2_5_vl")):
            qwen(models / name, family, arrays, facts)
    np.savez_compressed(inputs.DATA / "captions.npz", **arrays)
    (inputs.DATA / "captions.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def state(folder: Path) -> dict[str, Any]:
    """All tensors of a folder."""
    return {
        k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()
    }


class Lora(nn.Module):
    """What PEFT puts in the place of a linear layer."""

    def __init__(self, weights: dict[str, Any], name: str, alpha: float) -> None:
        super().__init__()
        self.base, self.a, self.b = (
            weights[f"{name}.{part}.weight"]
            for part in ("base_layer", "lora_A.default", "lora_B.default")
        )
        self.scale = alpha / len(self.a)

    def forward(self, x: Any) -> Any:
        return x @ self.base.T + (x @ self.a.T @ self.b.T) * self.scale


def pllava(folder: Path, arrays: Arrays, facts: Facts) -> None:
    """Pixels, features and greedy words for each video, for each way to pool."""
    config, weights = json.loads((folder / "config.json").read_text()), state(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    vision = CLIPVisionModel(
        CLIPVisionConfig(**config["vision_config"], attn_implementation="eager")
    ).eval()
    vision.load_state_dict(part(weights, "vision_tower."))
    language = LlamaForCausalLM(
        LlamaConfig(**config["text_config"], attn_implementation="eager")
    ).eval()
    names = part(weights, "language_model.base_model.model.")
    plain = {k.replace(".base_layer", ""): v for k, v in names.items() if ".lora_" not in k}
    language.load_state_dict(plain)
    for number, layer in enumerate(language.model.layers):
        for projection in ("q_proj", "v_proj"):
            name = f"model.layers.{number}.self_attn.{projection}"
            setattr(layer.self_attn, projection, Lora(names, name, 4.0))
    one, two = nn.Linear(32, 64), nn.Linear(64, 64)
    one.load_state_dict(part(weights, "multi_modal_projector.linear_1."))
    two.load_state_dict(part(weights, "multi_modal_projector.linear_2."))
    for number, video in enumerate(tiny.videos()):
        pixels = pllava_pixels(video[seed_indices(len(video), captions.FRAMES)], 112)
        arrays |= captions.digest(f"pllava pixels {number}", pixels)
        hidden = vision(torch.from_numpy(pixels), output_hidden_states=True).hidden_states[-2][
            :, 1:
        ]
        hidden = two(nn.functional.gelu(one(hidden)))
        cubes = hidden.reshape(1, captions.FRAMES, 8, 8, 64).permute(0, 4, 1, 2, 3)
        for shape in captions.POOLINGS:
            pooled = nn.AdaptiveAvgPool3d(shape)(cubes).permute(0, 2, 3, 4, 1).reshape(-1, 64)
            key = f"pllava {number} {'x'.join(map(str, shape))}"
            arrays |= captions.digest(f"{key} features", pooled.numpy())
            facts[key] = answer(language, tokenizer, pooled)


def part(weights: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors below a name."""
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def answer(language: Any, tokenizer: Any, pooled: Any) -> Facts:
    """What the language model adds to the conversation of the authors, and how sure it was of each
    word.
    """
    text = f"{captions.SYSTEM} USER:<image> {captions.QUESTION} ASSISTANT:"
    ids = tokenizer(text)["input_ids"]
    at = ids.index(300)
    embed = language.get_input_embeddings()
    embedded = torch.cat(
        [embed(torch.tensor(ids[:at])), pooled, embed(torch.tensor(ids[at + 1 :]))]
    )[None]
    out = language.generate(
        inputs_embeds=embedded, attention_mask=torch.ones(embedded.shape[:2], dtype=torch.long),
        do_sample=False,
        num_beams=1, max_new_tokens=captions.LENGTH, eos_token_id=2, pad_token_id=0,
        output_scores=True,
        return_dict_in_generate=True,
    )  # fmt: skip
    return said(out, 0, tokenizer, {2}) | {"prompt": ids}


def said(out: Any, skip: int, tokenizer: Any, ends: set[int]) -> Facts:
    """Words before the end mark, their text, the smallest lead of a best word over the second."""
    words = [int(w) for w in out.sequences[0][skip:]]
    words = words[: next((n for n, word in enumerate(words) if word in ends), len(words))]
    leads = [float(s[0].topk(2).values.diff().abs()) for s in out.scores]
    return {
        "ids": words,
        "text": tokenizer.decode(words, skip_special_tokens=True),
        "smallest lead": min(leads),
    }


def seed_indices(count: int, wanted: int) -> Any:
    """get_index of the authors' pllava_recaption.py."""
    size = float(count - 1) / wanted
    return np.array([int(size / 2) + int(np.round(size * n)) for n in range(wanted)])


def pllava_pixels(frames: Any, side: int) -> Any:
    """Frames through torchvision's Resize(672) of PIL images, PllavaProcessor's
    resize_crop_longshort, and CLIP's.
    """
    processor = CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    pictures = []
    for frame in frames:
        picture = Image.fromarray(frame)
        short, long = min(picture.size), max(picture.size)
        new = (672, int(672 * long / short))
        picture = picture.resize(
            new if picture.width <= picture.height else new[::-1], Image.Resampling.BILINEAR
        )
        pictures.append(np.array(picture))
    height, width = pictures[0].shape[:2]
    rate = max(height, width) / min(height, width)
    edge = max(min(min(height, width), int(min(640, max(height, width)) / rate)), side)
    out = (int(edge * rate), edge) if height > width else (edge, int(edge * rate))
    cropped = []
    for picture in pictures:
        size = get_resize_output_image_size(
            picture, size=edge, default_to_square=False, max_size=9999, input_data_format=LAST
        )
        picture = resize(
            picture, size=size, resample=Image.Resampling.BICUBIC, input_data_format=LAST
        )
        over = (max(picture.shape[:2]) - max(out)) // 2
        start, end = over // 2, over // 2 + max(out)
        cropped.append(
            picture[start:end] if picture.shape[0] > picture.shape[1] else picture[:, start:end]
        )
    return processor(cropped, input_data_format=LAST, return_tensors="np")["pixel_values"]


# the chat_template of Qwen2-VL-7B-Instruct and Qwen2.5-VL-7B-Instruct, without its branches for
# pictures and calls
TEMPLATE = (
    "{% set video_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "<|im_end|>\n{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def cut(frames: Any, bounds: tuple[int, int]) -> tuple[Any, Any]:
    """Patches and grid by Qwen2VLImageProcessor, of all frames of a video."""
    low, high = bounds
    processor = transformers.Qwen2VLImageProcessor(min_pixels=low, max_pixels=high)
    found, grid = processor._preprocess(
        list(frames), do_resize=True, size={"shortest_edge": low, "longest_edge": high},
        resample=3, do_rescale=True,
        rescale_factor=1 / 255, do_normalize=True, image_mean=processor.image_mean,
        image_std=processor.image_std,
        patch_size=14, temporal_patch_size=2, merge_size=2, do_convert_rgb=True,
        input_data_format=LAST,
    )  # fmt: skip
    return found, [int(n) for n in grid]


def qwen_pixels(arrays: Arrays, facts: Facts) -> None:
    """Patches of each video within each bounds."""
    for number, video in enumerate(tiny.videos()):
        for which, bounds in enumerate(captions.BOUNDS):
            found, grid = cut(video, bounds)
            facts[f"qwen grid {number} {which}"] = grid
            arrays |= captions.digest(f"qwen patches {number} {which}", found)


def qwen(folder: Path, family: str, arrays: Arrays, facts: Facts) -> None:
    """What the towers see, places, and greedy words for each video."""
    newer = family == "qwen2_5_vl"
    name = "Qwen2_5_VLForConditionalGeneration" if newer else "Qwen2VLForConditionalGeneration"
    model, loading = getattr(transformers, name).from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    facts[f"{family} keys"] = {kind: sorted(keys) for kind, keys in loading.items()}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    content = [{"type": "video", "video": "a.mp4"}, {"type": "text", "text": captions.QUESTION}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=TEMPLATE,
        add_generation_prompt=True,
        tokenize=False,
    )
    facts[f"{family} conversation"] = text
    for number, video in enumerate(tiny.videos()):
        patches, grid = cut(video, captions.BOUNDS[0])
        words = grid[0] * grid[1] * grid[2] // 4
        ids = torch.tensor(
            [tokenizer(text.replace("<|video_pad|>", "<|video_pad|>" * words))["input_ids"]]
        )
        pixels, shape = torch.from_numpy(patches), torch.tensor([grid])
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "video_grid_thw": shape}
        seconds = {"second_per_grid_ts": torch.tensor([2 / captions.FPS])} if newer else {}
        arrays |= captions.digest(
            f"{family} seen {number}", model.visual(pixels, grid_thw=shape).numpy()
        )
        places, deltas = model.model.get_rope_index(
            ids, video_grid_thw=shape, attention_mask=given["attention_mask"], **seconds
        )
        facts[f"{family} places {number}"] = [
            places[:, 0].flatten().tolist()[::13],
            int(deltas[0, 0]),
        ]
        out = model.generate(
            **given, **seconds, pixel_values_videos=pixels, do_sample=False, num_beams=1,
            temperature=None, top_k=None,
            top_p=None, max_new_tokens=captions.LENGTH, output_scores=True,
            return_dict_in_generate=True,
        )  # fmt: skip
        facts[f"{family} {number}"] = said(out, ids.shape[1], tokenizer, {300, 302}) | {
            "prompt": ids[0].tolist()[::7]
        }


if __name__ == "__main__":
    main()
