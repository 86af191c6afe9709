"""The stages of captioners, on good and bad clips: ``python -m tests.tasks.captioners.cases HOME
RESULT.json``.

One process for all, for MindSpore takes seconds to start. Tests say what the found numbers must be.
"""

from __future__ import annotations

import math
import shutil
import sys
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from curate.configs.settings import Settings
from curate.tasks.captioners import language_model, writing
from curate.tasks.captioners.interface import Caption
from curate.tasks.internvl import InternVlStage
from curate.tasks.models import cpu_kernels, mindone_light
from curate.tasks.models.device import mindspore, start
from curate.tasks.models.trial import trial
from curate.tasks.multi_caption import MultiCaption
from curate.tasks.pllava import PllavaStage
from curate.tasks.qwen2_5_vl import Qwen25VlStage
from curate.tasks.qwen2_vl import Qwen2VlStage
from curate.tasks.qwen3_vl import Qwen3VlStage
from curate.tasks.sharegpt4v import ShareGpt4vStage
from curate.tasks.stage import Clip, Context, Stage, Video
from curate.tasks.video.span import Pick
from curate.worker.outcomes import run_rows
from tests import tiny_captioners as tiny
from tests import tiny_newer, tiny_sharegpt4v
from tests.children import main, said
from tests.media import footage, picture, write_image, write_video

MADE: list[Stage[Any, Any]] = []  # held, so that captioners are made once for each pass_size
SMALL: dict[str, dict[str, Any]] = {
    "pllava": {"model": tiny.PLLAVA, "frames": 2},
    "qwen2_vl": {"model": tiny.QWEN2, "largest": 56 * 56},
    "qwen2_5_vl": {"model": tiny.QWEN25, "largest": 56 * 56},
    "qwen3_vl": {"model": tiny_newer.QWEN3, "largest": 64 * 64},
    "internvl": {"model": tiny_newer.INTERNVL, "frames": 3},
    "sharegpt4v": {"model": tiny_sharegpt4v.MODEL},
}  # fmt: skip
STAGES: dict[str, type[Stage[Any, Any]]] = {
    "pllava": PllavaStage, "qwen2_vl": Qwen2VlStage, "qwen2_5_vl": Qwen25VlStage,
    "qwen3_vl": Qwen3VlStage, "internvl": InternVlStage,
    "sharegpt4v": ShareGpt4vStage,
}  # fmt: skip


@cache
def settings() -> Settings:
    """Of a home folder with the tiny captioners in it."""
    home = Path(sys.argv[1])
    tiny.write_all(home / "models")
    return Settings(home=home, device="CPU")


@cache
def clips() -> list[Clip]:
    """A video of 20 frames, a picture, a source that is gone."""
    home = settings().folder
    drawn, image = (
        write_video(home / "drawn.mp4", footage(20, ())),
        write_image(home / "image.png", picture(5)),
    )
    sources = {1: (drawn, 20), 2: (image, 1), 3: (home / "gone.mp4", 20)}
    return [
        Clip(number, 1, 0, Video(number, 1, str(path), path.name, {}), 0, 1 << 40,
            Fraction(1, 1 << 38),
             {"num_frames": frames}, home)
        for number, (path, frames) in sources.items()
    ]  # fmt: skip


def found(name: str, rows: list[Clip], **options: Any) -> dict[str, Any]:
    """What would reach the rows, as JSON."""
    stage = STAGES[name](
        STAGES[name].Options(**SMALL[name], max_new_tokens=4, **options), Context(settings())
    )
    stage.load()
    MADE.append(stage)
    findings = run_rows(stage, rows)
    return {
        "scores": {str(i): dict(s) for i, s in findings.scores.items()},
        "failed": {str(i): list(why) for i, why in findings.failed.items()},
        "captions": {
            str(i): [dict(r) for p in parts for r in p.rows] for i, parts in findings.tables.items()
        },
    }


def nan() -> dict[str, Any]:
    """What the second of two clips shows is NaN, in a pass of both and in one of its own."""
    passes = iter([True, False, True])  # both; then each alone

    def broken(decoder: Any, beginnings: Any, *rest: Any) -> Any:
        *others, last = beginnings
        spoiled = replace(last, embedded=last.embedded * np.nan) if next(passes) else last
        return writing.write(decoder, [*others, spoiled], *rest)

    with mock.patch("curate.tasks.captioners.folder_captioner.write", broken):
        return found("pllava", clips()[:2], pass_size=3)


def in_fields() -> dict[str, Any]:
    """A captioner that is asked for fields and writes them at the second time, but for the clip
    that comes second; and one that writes noise.
    """
    right, asked = '{"short": "A", "mood": "B"}', []

    class Told:
        name, revision = "told", "r1"

        def choose_frames(self, clip: Any) -> Pick:
            return Pick([0], (28, 28))

        def captions(self, frames: Any, prompt: str, max_new_tokens: int) -> list[Caption]:
            asked.append(prompt)
            texts = {1: ["Noise."] * len(frames), 2: [right], 3: ['{"short": "A"}']}
            return [Caption(text, 4, 1.0) for text in texts[len(asked)]]

    fields = {"short": None, "mood": "the mood"}
    with mock.patch.object(Qwen2VlStage, "captioner_of", lambda stage, folder: Told()):
        told = found("qwen2_vl", clips(), fields=fields, pass_size=3)
    return {"told": told, "asked": asked, "noise": found("qwen2_vl", clips(), fields=fields)}


def at_once(words: dict[str, int]) -> dict[str, Any]:
    """What is found when so many words of a beginning are read in one pass; clips of a pass differ
    in length.
    """
    results = {}
    for name, count in words.items():
        with mock.patch.object(language_model, "PASS_TOKENS", count):
            results[name] = found(name, clips(), pass_size=2)
    return results


def in_windows() -> dict[str, Any]:
    """Two captioners of one decode, each with its windows; and what each writes of the windows as
    clips of their own.
    """
    windows = {"pllava": {"frames": 8}, "qwen2_vl": {"frames": 6, "min": 5}}
    limits = {"max_new_tokens": 4, "prompt": "What?"}
    captioners = [
        {"stage": n, **SMALL[n], **limits, "windows": one, "pass_size": 2}
        for n, one in windows.items()
    ]
    options = MultiCaption.Options.model_validate({"captioners": captioners})
    stage = MultiCaption(options, Context(settings()))
    stage.load()
    written = run_rows(stage, clips())
    rows = [dict(row, **part.where) for part in written.tables[1] for row in part.rows]
    alone = []
    for row in (row for row in rows if row["summary"] and row["window_start_pts"] is not None):
        name = next(n for n in windows if SMALL[n]["model"] == row["model"])
        stamps = {"start_pts": row["window_start_pts"], "end_pts": row["window_end_pts"]}
        clip = replace(clips()[0], **stamps, values={"num_frames": 20})
        (caption,) = found(name, [clip], prompt="What?")["captions"]["1"]
        alone.append([row["model"], caption["text_raw"]])
    return {
        "rows": rows, "alone": alone, "failed": {i: why[0] for i, why in written.failed.items()},
        "picture": [row["summary"] for part in written.tables[2] for row in part.rows],
    }  # fmt: skip


def tower_trial() -> Any:
    """A model whose image tower is elsewhere, tried as `curate models check` does."""
    model_folder = settings().model_folder
    apart = model_folder.parent / "apart" / "tower"
    tower = shutil.copytree(model_folder / tiny_sharegpt4v.TOWER, apart)
    return trial("sharegpt4v", model_folder / tiny_sharegpt4v.MODEL, settings(), tower)


def mindone_cells() -> Any:
    """What MindSpore says of mindone's cells that are replaced on the CPU, and how far what takes
    their place is from NumPy.
    """
    device, x = start("CPU"), np.random.default_rng(3).standard_normal((2, 8), np.float32)
    activations, ms = mindone_light.module("activations"), mindspore()
    norm = mindone_light.language("qwen2").Qwen2RMSNorm(8, 1e-3)
    norm.weight.set_data(ms.Tensor(np.arange(8, dtype=np.float32)))
    erf, tanh = (
        np.vectorize(math.erf)(x / math.sqrt(2)),
        np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    )
    cells = {
        "GELUActivation": (activations.GELUActivation(), x / 2 * (1 + erf)),
        "GELUTanh": (activations.GELUTanh(), x / 2 * (1 + tanh)),
        "RmsNorm": (
            norm, x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-3) * np.arange(8)
        ),
    }  # fmt: skip
    results = {}
    for name, (cell, wanted) in cells.items():
        found = cpu_kernels.fitted(cell, device)(ms.Tensor(x)).asnumpy()
        refused = said(lambda cell=cell: cell(ms.Tensor(x)).asnumpy())
        results[name] = [refused, float(np.abs(found - wanted).max())]
    return results


if __name__ == "__main__":
    main({
        "at once": lambda: at_once({"pllava": 1 << 20, "qwen2_vl": 1 << 20, "qwen3_vl": 1 << 20}),
        "in parts": lambda: at_once({"pllava": 97, "qwen2_vl": 17, "qwen3_vl": 13}),
        **{name: lambda name=name: found(name, clips()) for name in STAGES},
        "several": lambda: found("sharegpt4v", clips(), pass_size=2, frames=3,
            tower=tiny_sharegpt4v.TOWER),
        "mindone cells": mindone_cells, "tower trial": tower_trial,
        "together": lambda: found("pllava", clips(), pass_size=3),
        "prompt": lambda: found("qwen2_vl", clips(), prompt="What? <|video_pad|>"),
        "nan": nan, "fields": in_fields, "windows": in_windows,
        "trial": lambda: trial("qwen2_vl", settings().model_folder / tiny.QWEN2, settings()),
    })  # fmt: skip
