"""Runs split and every neural stage on a drawn video, in the process of cases.py; the models are in
HOME/models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.settings import Settings
from curate.tasks.aesthetic import Aesthetic
from curate.tasks.clip_embed import ClipEmbed
from curate.tasks.lpips import Lpips
from curate.tasks.match import Match
from curate.tasks.models.tokens import Tokens
from curate.tasks.nsfw import Nsfw
from curate.tasks.option_match import OptionMatch
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, NewClip, Outcome, Stage, Video
from tests import tiny
from tests.accuracy import inputs
from tests.media import CLOSED, footage, write_video

CUTS, COUNT = (80, 130), 170  # frames, 24 a second
OPTIONS = ("a dog", "a photo of a cat", "2026-11-22")
PROMPT = "a picture of {}"
TEXTS = ("a temple in China", "blocks that move", "a flower \u2014 close up")
SIDE = 32  # of LPIPS' squares: larger ones take seconds to check


def frames() -> list[inputs.Image]:
    """A pan over one photo, drawn footage, a pan over another photo."""
    photos = inputs.photos()
    china, flower = (inputs.sized(photos[name], 400, 600) for name in ("china", "flower"))
    drawn = footage(COUNT, CUTS, size=(320, 180))
    first = [china[100:280, i : i + 320] for i in range(CUTS[0])]
    last = [flower[60:240, 2 * i : 2 * i + 320] for i in range(COUNT - CUTS[1])]
    return [np.ascontiguousarray(frame) for frame in (*first, *drawn[CUTS[0] : CUTS[1]], *last)]


def clips(settings: Settings) -> list[Clip]:
    """The clips of the drawn video, their samples written."""
    path = settings.folder / "drawn.mp4"
    write_video(path, frames(), CLOSED)
    video = Video(1, 1, str(path), path.name, {})
    found = Split(Split.Options(min_seconds=0.0), Context(settings)).run(video).clips
    return [clip(settings, video, new) for new in found]


def clip(settings: Settings, video: Video, new: NewClip) -> Clip:
    """The clip with its text."""
    values = {**new.scores, "text": TEXTS[new.index]}
    return Clip(
        new.index,
        1,
        new.index,
        video,
        new.start_pts,
        new.end_pts,
        Fraction(1, 12288),
        values,
        settings.samples,
    )


def outcomes(
    cls: type[Stage[Any, Any]], rows: list[Clip], settings: Settings, **options: Any
) -> list[Outcome]:
    """What a stage finds for all clips."""
    stage = cls(cls.Options(**options), Context(settings))
    stage.load()
    found = [outcome for outcome in stage.run_batch(rows) if isinstance(outcome, Outcome)]
    assert len(found) == len(rows), found
    return found


def with_tables(row: Clip, outcome: Outcome) -> Clip:
    """The clip with an outcome's rows of tables, as the database would give them back."""
    tables = {
        part.table: [{**part.where, **found} for found in part.rows] for part in outcome.tables
    }
    return replace(row, tables=tables)


def scores(found: list[Outcome], column: str) -> NDArray[Any]:
    """A column of all clips."""
    return np.array([outcome.scores[column] for outcome in found])


def vectors(row: Clip) -> NDArray[np.float16]:
    """The stored embeddings of a clip."""
    return np.stack(
        [np.frombuffer(found["vector"], np.float16) for found in row.tables["embeddings"]]
    )


def options(found: list[Outcome]) -> NDArray[np.float64]:
    """The scores of option_scores, (clips, options)."""
    tables: list[Mapping[str, Any]] = [
        {r["option"]: r["score"] for r in o.tables[0].rows} for o in found
    ]
    return np.array([[table[option] for option in OPTIONS] for table in tables])


def run(settings: Settings) -> dict[str, Any]:
    """Every column and row that the stages found."""
    rows = clips(settings)
    embedded = outcomes(ClipEmbed, rows, settings, frames=3)
    rows = [with_tables(row, outcome) for row, outcome in zip(rows, embedded, strict=True)]
    matched = outcomes(OptionMatch, rows, settings, texts=OPTIONS, prompt=PROMPT)
    unsafe = outcomes(Nsfw, rows, settings)
    tokens = Tokens(settings.model_folder / tiny.CLIP)
    positions = [[stored["position"] for stored in row.tables["embeddings"]] for row in rows]
    return {
        "vectors": np.stack([vectors(row) for row in rows]),
        "positions": np.array(positions),
        "match_option": scores(matched, "match_option"), "option": scores(matched, "option"),
        "option_scores": options(matched),
        "match": scores(outcomes(Match, rows, settings), "match"),
        "aes": scores(outcomes(Aesthetic, rows, settings), "aes"),
        "nsfw": scores(unsafe, "nsfw"), "nsfw_score": scores(unsafe, "nsfw_score"),
        "lpips": scores(outcomes(Lpips, rows, settings, side=SIDE), "lpips"),
        "option_tokens": tokens.encode([PROMPT.replace("{}", text) for text in OPTIONS]),
        "text_tokens": tokens.encode(TEXTS),
    }  # fmt: skip
