"""Makes data/newer.json and newer.npz, once, with PyTorch, torchvision and transformers: see
make_references.py for how.

Networks and processors are transformers' own.
``python -m tests.accuracy.make_newer``
"""

from __future__ import annotations

import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
import transformers
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from tests import tiny_captioners as tiny
from tests import tiny_newer
from tests.accuracy import captions, inputs
from tests.accuracy.make_captions import Arrays, Facts, said


def main() -> None:
    """Write the references."""
    versions = {"python": platform.python_version(), "pillow": __import__("PIL").__version__}
    versions |= {m.__name__: m.__version__ for m in (torch, torchvision, transformers, np)}
    facts: Facts = {"made_by": "python -m tests.accuracy.make_newer", "versions": versions}
    facts["videos"] = [inputs.checksum(video) for video in tiny.videos()]
    arrays: Arrays = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        models = Path(folder)
        qwen3(tiny_newer.write_qwen3(models / tiny_newer.QWEN3), arrays, facts)
        for name in captions.INTERNVLS:
            folder = tiny_newer.write_internvl(models / name, name == "internvl3.5")
            internvl(folder, arrays, facts)
    np.savez_compressed(inputs.DATA / "newer.npz", **arrays)
    (inputs.DATA / "newer.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


# the chat_template of Qwen3-VL-8B-Instruct, without its branches for pictures and calls
QWEN3_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for content in message.content %}{% if content.type == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content.text }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTENT = [{"type": "video", "video": "a.mp4"}, {"type": "text", "text": captions.QUESTION}]


def qwen3_processor(folder: Path) -> Any:
    """The published processor, with a tiny vocabulary."""
    tokenizer = transformers.Qwen2TokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    image = transformers.Qwen2VLImageProcessorFast(patch_size=16)
    video = Qwen3VLVideoProcessor()
    return transformers.Qwen3VLProcessor(image, tokenizer, video, QWEN3_TEMPLATE)


def qwen3(folder: Path, arrays: Arrays, facts: Facts) -> None:
    """Frames, pixels and words by the processor; what the tower sees, places, and greedy words."""
    model, loading = transformers.Qwen3VLForConditionalGeneration.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    facts["qwen3_vl keys"] = {kind: sorted(keys) for kind, keys in loading.items()}
    processor = qwen3_processor(folder)
    text = processor.apply_chat_template(
        [{"role": "user", "content": CONTENT}], add_generation_prompt=True, tokenize=False
    )
    facts["qwen3_vl conversation"] = text
    for number, video in enumerate(tiny.videos()):
        metadata = {
            "fps": captions.RATES[number], "total_num_frames": len(video),
            "height": video.shape[1], "width": video.shape[2], "duration": None,
        }  # fmt: skip
        for which, largest in enumerate(captions.LARGEST):
            chosen = processor.video_processor.sample_frames(
                transformers.video_utils.VideoMetadata(**metadata), fps=2
            )
            given = processor(
                text=[text], videos=[torch.from_numpy(video).permute(0, 3, 1, 2)],
                video_metadata=[metadata],
                size={"shortest_edge": 4096, "longest_edge": largest * len(chosen)},
                return_tensors="pt",
            )  # fmt: skip
            facts[f"qwen3_vl chosen {number}"] = chosen.tolist()
            facts[f"qwen3_vl grid {number} {which}"] = given["video_grid_thw"][0].tolist()
            facts[f"qwen3_vl prompt {number} {which}"] = given["input_ids"][0].tolist()
            pixels = given["pixel_values_videos"]
            arrays |= captions.digest(f"qwen3_vl patches {number} {which}", pixels.numpy())
        arrays |= shown(model, given, f"qwen3_vl {number}", facts)
        facts[f"qwen3_vl {number}"] = answered(model, given, processor.tokenizer)


def shown(model: Any, given: Any, name: str, facts: Facts) -> Arrays:
    """What the tower of Qwen3-VL sees, and at which places."""
    ids, grid = given["input_ids"], given["video_grid_thw"]
    seen, deeper = model.model.visual(given["pixel_values_videos"], grid_thw=grid)
    places, deltas = model.model.get_rope_index(
        ids, video_grid_thw=grid, attention_mask=given["attention_mask"]
    )
    facts[f"{name} places"] = [places[:, 0].flatten().tolist(), int(deltas[0, 0])]
    return dict(captions.digest(f"{name} seen", torch.cat([seen, *deeper], dim=1).numpy()))


def answered(model: Any, given: Any, tokenizer: Any) -> Facts:
    """What a model adds to a conversation, greedily."""
    out = model.generate(
        **given, do_sample=False, num_beams=1, temperature=None, top_k=None, top_p=None,
        max_new_tokens=captions.LENGTH, output_scores=True, return_dict_in_generate=True,
    )  # fmt: skip
    return said(out, given["input_ids"].shape[1], tokenizer, {300, 302})


# of convert_internvl_weights_to_hf.py in transformers, filled in
INTERNVL_TEXT = f"<|im_start|>user\n{{}}\n{captions.QUESTION}<|im_end|>\n<|im_start|>assistant\n"


def internvl_processor(folder: Path) -> Any:
    """The published processor, for tiles of the tiny tower and with a tiny vocabulary."""
    tokenizer = transformers.Qwen2TokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        extra_special_tokens={
            "start_image_token": "<img>", "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>",
        },
    )  # fmt: skip
    colours = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    size = {"height": 56, "width": 56}
    image = transformers.GotOcr2ImageProcessorFast(size=size, **colours)
    video = InternVLVideoProcessor(size=size, **colours)
    return transformers.InternVLProcessor(image, tokenizer, video, image_seq_length=4)


def internvl(folder: Path, arrays: Arrays, facts: Facts) -> None:
    """Of each video, and of its first frame as a picture: tiles, tokens, what is seen and said."""
    name = folder.name
    model, loading = transformers.InternVLForConditionalGeneration.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    facts[f"{name} keys"] = {kind: sorted(keys) for kind, keys in loading.items()}
    processor = internvl_processor(folder)
    for number, video in enumerate(tiny.videos()):
        metadata = transformers.video_utils.VideoMetadata(total_num_frames=len(video), fps=8)
        chosen = processor.video_processor.sample_frames(metadata, num_frames=captions.FRAMES)
        facts[f"{name} chosen {number}"] = chosen.tolist()
        pictures = torch.from_numpy(video).permute(0, 3, 1, 2)
        for kind, text, media in (
            ("video", "<video>", {"videos": [pictures[chosen]]}),
            ("picture", "<IMG_CONTEXT>", {"images": [pictures[0]]}),
        ):
            given = processor(text=[INTERNVL_TEXT.format(text)], return_tensors="pt", **media)
            key = f"{name} {kind} {number}"
            facts[f"{key} prompt"] = given["input_ids"][0].tolist()
            tiles = given["pixel_values"]
            arrays |= captions.digest(f"{key} tiles", tiles.permute(0, 2, 3, 1).numpy())
            seen = model.model.get_image_features(pixel_values=tiles)
            arrays |= captions.digest(f"{key} seen", seen.flatten(0, 1).numpy())
            facts[key] = answered(model, given, processor.tokenizer)


if __name__ == "__main__":
    main()
