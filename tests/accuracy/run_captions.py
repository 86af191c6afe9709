"""Runs the captioners on the videos of the references, in the process of cases.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from curate.tasks.captioners.answer import Answer
from curate.tasks.captioners.pllava import Options, Pllava
from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl
from curate.tasks.captioners.qwen2_vl import Qwen2Vl
from curate.tasks.captioners.qwen_frames import Pixels
from curate.tasks.captioners.qwen_vl import Options as Options2
from curate.tasks.captioners.qwen_vl import QwenVl
from curate.tasks.captioners.sharegpt4v import Options as Options3
from curate.tasks.captioners.sharegpt4v import ShareGpt4v
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


def told(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Answers as JSON has them."""
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
    small = Options2(captions.FPS, Pixels(*captions.BOUNDS[0]))
    model = made(folder, "CPU", options=small)
    texts[f"{family} alone"] = told(model.captions(videos, captions.QUESTION, captions.LENGTH))
    texts[f"{family} conversation"] = model.conversation(captions.QUESTION)
    for number, video in enumerate(videos):
        begun = model.beginning(video, captions.QUESTION)
        seen = [n for n, word in enumerate(begun.ids) if word == tiny.QWEN_WORDS["<|video_pad|>"]]
        arrays[f"{family} seen {number}"] = begun.embedded[seen]
        texts[f"{family} places {number}"] = [
            begun.places.flatten().tolist()[::13],
            begun.after - len(begun.ids),
        ]
        texts[f"{family} prompt {number}"] = list(begun.ids)[::7]
    model.options = replace(small, batch=3)
    texts[f"{family} together"] = told(model.captions(videos, captions.QUESTION, captions.LENGTH))
    texts[f"{family} end"] = early = texts[f"{family} alone"][0]["ids"][5]
    written = json.loads((folder / "generation_config.json").read_text())
    tiny.write_json(folder / "generation_config.json", written | {"eos_token_id": early})
    ended = made(folder, "CPU", options=replace(small, batch=3))
    texts[f"{family} early"] = told(ended.captions(videos, captions.QUESTION, captions.LENGTH))
    return texts, arrays


def pllava(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """For each way to pool: each video alone, and all in a batch; then drawn words, twice."""
    texts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    videos = tiny.videos()
    first = Options(captions.FRAMES, captions.POOLINGS[0], captions.SYSTEM)
    model = Pllava(folder, "CPU", options=first)
    for shape in captions.POOLINGS:
        model.options = replace(first, pooling=shape)
        key = f"pllava {'x'.join(map(str, shape))}"
        texts[f"{key} alone"] = told(model.captions(videos, captions.QUESTION, captions.LENGTH))
        for number, video in enumerate(videos):
            arrays[f"{key} features {number}"] = model.features(video)
    model.options = replace(first, batch=3)
    texts["pllava together"] = told(model.captions(videos, captions.QUESTION, captions.LENGTH))
    texts["pllava one"] = told([model.caption(videos[0], captions.QUESTION, captions.LENGTH)])
    texts["pllava prompt"] = model.ids(captions.QUESTION)
    for number, (seed, batch) in enumerate([(1, 1), (1, 3), (2, 1)]):
        model.options = replace(first, batch=batch, sampling=Sampling(1.0, 0.9, 50, seed))
        texts[f"pllava drawn {number}"] = told(model.captions(videos, captions.QUESTION, 8))
    return texts, arrays


def sharegpt4v(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """For each number of frames: each video alone, and all in a batch; then drawn words."""
    texts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    videos = tiny.videos()
    for frames in captions.PICTURES:
        model = ShareGpt4v(folder, "CPU", options=Options3(frames))
        texts[f"sharegpt4v alone {frames}"] = told(
            model.captions(videos, captions.QUESTION, captions.LENGTH)
        )
        for number, video in enumerate(videos):
            arrays[f"sharegpt4v features {number} {frames}"] = np.concatenate(model.features(video))
        texts[f"sharegpt4v prompt {frames}"] = model.ids(captions.QUESTION)
        model.options = Options3(frames, batch=3)
        texts[f"sharegpt4v together {frames}"] = told(
            model.captions(videos, captions.QUESTION, captions.LENGTH)
        )
    for number, (seed, batch) in enumerate([(1, 1), (1, 3), (2, 1)]):
        model.options = Options3(frames, batch=batch, sampling=Sampling(1.0, 0.9, 50, seed))
        texts[f"sharegpt4v drawn {number}"] = told(model.captions(videos, captions.QUESTION, 8))
    return texts, arrays
