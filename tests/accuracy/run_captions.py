"""Runs the captioners on the videos of the references, in the process of cases.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.tasks.caption.models.answer import Answer
from curate.tasks.caption.models.writing import Sampling
from curate.tasks.caption.pllava import Options, Pllava
from tests import tiny_captioners as tiny
from tests.accuracy import captions


def run(models: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Texts and words by name, and arrays by name."""
    return pllava(models / tiny.PLLAVA)


def told(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Answers as JSON has them."""
    return [{"ids": list(a.ids), "text": a.text, "tokens": a.tokens, "seconds": a.seconds} for a in answers]


def pllava(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """For each way to pool: each video alone, and all in a batch; then drawn words, twice."""
    texts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    videos = tiny.videos()
    for shape in captions.POOLINGS:
        model = Pllava(folder, "CPU", options=Options(captions.FRAMES, shape, captions.SYSTEM))
        key = f"pllava {'x'.join(map(str, shape))}"
        texts[f"{key} alone"] = told(model.caption(videos, captions.QUESTION, captions.LENGTH))
        for number, video in enumerate(videos):
            arrays[f"{key} features {number}"] = model.features(video)
    together = Options(captions.FRAMES, captions.POOLINGS[0], captions.SYSTEM, batch=3)
    model = Pllava(folder, "CPU", options=together)
    texts["pllava together"] = told(model.caption(videos, captions.QUESTION, captions.LENGTH))
    texts["pllava prompt"] = model.ids(captions.QUESTION)
    texts["pllava revision"] = model.revision
    sampling = [Sampling(1.0, 0.9, 50, seed) for seed in (1, 1, 2)]
    for number, (how, batch) in enumerate(zip(sampling, (1, 3, 1), strict=True)):
        drawn = Options(captions.FRAMES, captions.POOLINGS[0], captions.SYSTEM, batch=batch, sampling=how)
        texts[f"pllava drawn {number}"] = told(Pllava(folder, "CPU", options=drawn).caption(videos, "What?", 12))
    return texts, arrays
