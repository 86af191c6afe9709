"""Clips with captions and texts, for the tests of the stages of texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from curate.db import redo
from curate.db.datasets import Dataset
from tests.pipelines import Line

INSERT_CAPTION = (
    "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at)"
    " VALUES (:clip, :model, 'r1', 'describe', :raw, 5)"
)
CAPTIONS = "SELECT model, text_raw, text FROM captions ORDER BY clip_id, id"


def put_clip(line: Line, *captions: tuple[str, str], stage: str = "clean_text") -> int:
    """A clip that waits for the stage, with captions of these models; returns its id."""
    (clip,) = line.put_clips(1, stage, f"/v/{len(line.rows('SELECT id FROM videos'))}.mp4")
    with line.engine.begin() as connection:
        for model, raw in captions:
            connection.execute(text(INSERT_CAPTION), {"clip": clip, "model": model, "raw": raw})
    return clip


def put_input_columns(line: Line, **columns: Any) -> None:
    """What the input table says about every video."""
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET extra = :e"), {"e": json.dumps(columns)})
        connection.execute(text("UPDATE clips SET text = :t"), {"t": columns.get("text")})


def redo_stage(line: Line, stage: str, changed: Any = None, then: Sequence[str] = ()) -> None:
    """Send the clips back to a stage, with another pipeline where one is given."""
    frozen = line.rows("SELECT pipeline FROM datasets")[0][0]
    dataset = Dataset(line.dataset.id, "set", "/v", frozen)
    redo.redo(line.engine, dataset, changed or line.pipeline, stage, then=then)
