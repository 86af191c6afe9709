"""Runs the captioners on the videos of the references, in the process of cases.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from curate.tasks.captioners.interface import Caption
from curate.tasks.captioners.pllava import Pllava, PllavaRunOptions
from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl
from curate.tasks.captioners.qwen2_vl import Qwen2Vl
from curate.tasks.captioners.qwen_frames import PixelBounds
from curate.tasks.captioners.qwen_vl import QwenRunOptions, QwenVl
from curate.tasks.captioners.sharegpt4v import ShareGpt4v, ShareGpt4vRunOptions
from curate.tasks.captioners.writing import Sampling
from tests import tiny_captioners as tiny
from tests import tiny_sharegpt4v
from tests.accuracy import captions


def run(models: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Texts and words by name, and arrays by name."""
    texts, arrays = pllava(models / tiny.PLLAVA)
    for made in (Qwen2Vl, Qwen25Vl):
        more, numbers = qwen(made, models / (tiny.QWEN2 if made is Qwen2Vl else tiny.QWEN25))
        texts, arrays = texts | more, arrays | numbers
    more, numbers = sharegpt4v(models / tiny_sharegpt4v.MODEL)
    return texts | more, arrays | numbers


def as_json(answers: Sequence[Caption]) -> list[dict[str, Any]]:
    """Captions as JSON has them."""
    return [
        {"ids": list(a.ids), "text": a.text, "tokens": a.tokens, "seconds": a.seconds}
        for a in answers
    ]


def qwen(made: type[QwenVl], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each video alone, and all in a batch; with an end that comes early; what is seen, and where
    words lie.
    """
    texts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    videos, family = tiny.videos(), made.family
    small = QwenRunOptions(captions.FPS, PixelBounds(*captions.BOUNDS[0]))
    model = made(folder, "CPU", options=small)
    texts[f"{family} alone"] = as_json(model.captions(videos, captions.QUESTION, captions.LENGTH))
    texts[f"{family} conversation"] = model.conversation(captions.QUESTION)
    for number, video in enumerate(videos):
        begun = model.beginning(video, captions.QUESTION)
        seen = [n for n, word in enumerate(begun.ids) if word == tiny.QWEN_WORDS["<|video_pad|>"]]
        arrays[f"{family} seen {number}"] = begun.embedded[seen]
        texts[f"{family} places {number}"] = [
            begun.positions.flatten().tolist()[::13],
            begun.next_position - len(begun.ids),
        ]
        texts[f"{family} prompt {number}"] = list(begun.ids)[::7]
    asked = captions.QUESTION, captions.BEGINNING
    model.options = replace(small, batch=3)
    texts[f"{family} together"] = as_json(model.captions(videos, *asked))
    texts[f"{family} end"] = early = texts[f"{family} alone"][0]["ids"][5]
    written = json.loads((folder / "generation_config.json").read_text())
    tiny.write_json(folder / "generation_config.json", written | {"eos_token_id": early})
    ended = made(folder, "CPU", options=replace(small, batch=3))
    texts[f"{family} early"] = as_json(ended.captions(videos, *asked))
    return texts, arrays


def pllava(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """For each way to pool: each video alone, to its end with the first; all in a batch; then drawn
    words, twice.
    """
    texts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    videos = tiny.videos()
    first = PllavaRunOptions(captions.FRAMES, captions.POOLINGS[0], captions.SYSTEM)
    model = Pllava(folder, "CPU", options=first)
    for shape in captions.POOLINGS:
        model.options = replace(first, pooling=shape)
        key = f"pllava {'x'.join(map(str, shape))}"
        length = captions.LENGTH if shape == first.pooling else captions.BEGINNING
        texts[f"{key} alone"] = as_json(model.captions(videos, captions.QUESTION, length))
        for number, video in enumerate(videos):
            arrays[f"{key} features {number}"] = model.features(video)
    asked = captions.QUESTION, captions.BEGINNING
    model.options = replace(first, batch=3)
    texts["pllava together"] = as_json(model.captions(videos, *asked))
    texts["pllava one"] = as_json([model.caption(videos[0], *asked)])
    texts["pllava prompt"] = model.ids(captions.QUESTION)
    for number, (seed, batch) in enumerate([(1, 1), (1, 3), (2, 1)]):
        model.options = replace(first, batch=batch, sampling=Sampling(1.0, 0.9, 50, seed))
        texts[f"pllava drawn {number}"] = as_json(model.captions(videos, *asked))
    return texts, arrays


def sharegpt4v(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """For each number of frames: each video alone, to its end with one; all in a batch; then drawn
    words.
    """
    texts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    videos = tiny.videos()
    asked = captions.QUESTION, captions.BEGINNING
    for frames in captions.PICTURES:
        length = captions.LENGTH if frames == 1 else captions.BEGINNING
        model = ShareGpt4v(folder, "CPU", options=ShareGpt4vRunOptions(frames))
        texts[f"sharegpt4v alone {frames}"] = as_json(
            model.captions(videos, captions.QUESTION, length)
        )
        for number, video in enumerate(videos):
            arrays[f"sharegpt4v features {number} {frames}"] = np.concatenate(model.features(video))
        texts[f"sharegpt4v prompt {frames}"] = model.ids(captions.QUESTION)
        model.options = ShareGpt4vRunOptions(frames, batch=3)
        texts[f"sharegpt4v together {frames}"] = as_json(model.captions(videos, *asked))
    for number, (seed, batch) in enumerate([(1, 1), (1, 3), (2, 1)]):
        model.options = ShareGpt4vRunOptions(
            frames, batch=batch, sampling=Sampling(1.0, 0.9, 50, seed)
        )
        texts[f"sharegpt4v drawn {number}"] = as_json(model.captions(videos, *asked))
    return texts, arrays
