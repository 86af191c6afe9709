"""Runs Qwen3-VL on the videos of the references, in the process of cases.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from curate.tasks.captioners.qwen3_vl import Qwen3RunOptions, Qwen3Vl
from curate.tasks.captioners.qwen_frames import PixelBounds
from curate.tasks.video.span import SpanShape
from curate.tasks.video.timed_pictures import timed
from tests import tiny_captioners as tiny
from tests import tiny_newer
from tests.accuracy import captions
from tests.accuracy.run_captions import as_json

Found = tuple[dict[str, Any], dict[str, Any]]


def run(models: Path) -> Found:
    """Texts and words by name, and arrays by name."""
    return qwen3(models / tiny_newer.QWEN3)


def qwen3(folder: Path) -> Found:
    """What is chosen, prepared and seen of each video, and said, alone and in a batch."""
    texts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    model = Qwen3Vl(folder, "CPU")
    texts["qwen3_vl conversation"] = model.conversation(captions.QUESTION)
    clips = []
    for number, video in enumerate(tiny.videos()):
        count, height, width = video.shape[:3]
        pick = model.choose_frames(SpanShape(count, captions.RATES[number], width, height))
        texts[f"qwen3_vl chosen {number}"] = list(pick.indices)
        clips.append(timed(video[list(pick.indices)], pick.seconds))
        for which, largest in enumerate(captions.LARGEST):
            model.options = Qwen3RunOptions(pixels=PixelBounds(0, largest))
            patches, grid = model.patches(clips[-1])
            arrays[f"qwen3_vl patches {number} {which}"] = patches
            texts[f"qwen3_vl grid {number} {which}"] = list(grid)
            begun = model.beginning(clips[-1], captions.QUESTION)
            texts[f"qwen3_vl prompt {number} {which}"] = list(begun.ids)
        texts[f"qwen3_vl {number} places"] = [
            begun.positions.flatten().tolist(), begun.next_position - len(begun.ids),
        ]  # fmt: skip
        arrays[f"qwen3_vl {number} seen"] = model.tower.see(patches, grid)
    texts["qwen3_vl alone"] = as_json(model.captions(clips, captions.QUESTION, captions.LENGTH))
    model.options = replace(model.options, batch=3)
    together = model.captions(clips, captions.QUESTION, captions.BEGINNING)
    texts["qwen3_vl together"] = as_json(together)
    return texts, arrays
