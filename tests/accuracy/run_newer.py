"""Runs Qwen3-VL and InternVL on the videos of the references, in the process of cases.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from curate.tasks.captioners.internvl import InternVl, InternVlRunOptions
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
    texts, arrays = qwen3(models / tiny_newer.QWEN3)
    for name in captions.INTERNVLS:
        folder = tiny_newer.write_internvl(models / name, name == "internvl3.5")
        more, numbers = internvl(folder)
        texts, arrays = texts | more, arrays | numbers
    return texts, arrays


def internvl(folder: Path) -> Found:
    """What is chosen, prepared and seen of each video and its first frame, and said; a batch."""
    texts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    name = folder.name
    model = InternVl(folder, "CPU", options=InternVlRunOptions(captions.FRAMES))
    clips = {}
    for number, video in enumerate(tiny.videos()):
        pick = model.choose_frames(SpanShape(len(video), 8.0, 64, 48))
        texts[f"{name} chosen {number}"] = list(pick.indices)
        clips[f"video {number}"] = video[list(pick.indices)]
        clips[f"picture {number}"] = video[:1]
    for which, clip in clips.items():
        tiles = model.tiles(clip)
        arrays[f"{name} {which} tiles"] = tiles
        arrays[f"{name} {which} seen"] = model.tower.see(tiles)
        texts[f"{name} {which} prompt"] = list(model.beginning(clip, captions.QUESTION).ids)
    texts[f"{name} alone"] = {
        which: as_json([model.caption(clip, captions.QUESTION, captions.words_of(name, which))])[0]
        for which, clip in clips.items()
    }
    model.options = replace(model.options, batch=6)
    together = model.captions(list(clips.values()), captions.QUESTION, captions.BEGINNING)
    texts[f"{name} together"] = dict(zip(clips, as_json(together), strict=True))
    return texts, arrays


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
