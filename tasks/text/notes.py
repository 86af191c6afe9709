"""What is known about a clip in words: what a rewriter is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from curate.configs.texts import input_cell
from curate.tasks.stage import Clip
from curate.tasks.text.captions import HAND, SET, TABLE, CaptionRow, input_text, is_whole

FIELDS = "fields"  # of a row of captions: texts by field
START, END = "window_start_pts", "window_end_pts"  # of a caption of a window


@dataclass(frozen=True)
class Note:
    """A line that a rewriter is told; `of_clip` is False where it is about a clip beside this."""

    label: str
    text: str
    of_clip: bool = True


def notes_of(clip: Clip, columns: Mapping[str, str]) -> list[Note]:
    """What is known about a clip: the newest caption of each model with its fields and those of
    its windows, or that loaded by hand alone, or the input's text; the `columns` with their names;
    and captions of the clips beside it. Empty when it has no caption.
    """
    rows = _newest(clip.tables.get(TABLE, ()))
    captions = [note for row in rows for note in _of_caption(clip, row)]
    if not captions and (given := input_text(clip.video)):
        captions = [Note("Caption", _one_line(given))]
    if not captions:
        return []
    told = [Note(label.capitalize(), _told(clip, name)) for name, label in columns.items()]
    beside = [
        Note(f"Clip {abs(n)} {'before' if n < 0 else 'after'}", _text(row), of_clip=False)
        for n in sorted(clip.neighbours)
        for row in _newest(clip.neighbours[n].get(TABLE, ()))
    ]
    return [*captions, *[note for note in told if note.text], *beside]


def _newest(rows: Sequence[CaptionRow]) -> list[CaptionRow]:
    """The newest captions of each model, of the clip or else its windows; or that by hand alone."""
    newest: dict[str, dict[int | None, CaptionRow]] = {}  # by model and where the window starts
    for row in (row for row in rows if _text(row)):
        before = newest.get(row["model"], {})
        together = all(one[name] == row[name] for one in before.values() for name in SET)
        newest[row["model"]] = {**(before if together else {}), row[START]: row}
    if HAND in newest:
        return list(newest[HAND].values())
    # one of the clip that was made of those of its windows says nothing more
    return [
        row
        for of_model in newest.values()
        for row in of_model.values()
        if not is_whole(row) or not row["summary"] or len(of_model) == 1
    ]


def _of_caption(clip: Clip, row: CaptionRow) -> list[Note]:
    label = "Caption"
    if not is_whole(row):
        start, end = (float((row[at] - clip.start_pts) * clip.time_base) for at in (START, END))
        label = f"From {start:.1f} to {end:.1f} s"
    fields = [Note(name.capitalize(), _one_line(text)) for name, text in row[FIELDS].items()]
    return [Note(label, _text(row)), *[one for one in fields if one.text != _text(row)]]


def _text(row: CaptionRow) -> str:
    """A caption as it was cleaned or else written."""
    return _one_line(str(row["text"] or row["text_raw"]))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _told(clip: Clip, column: str) -> str:
    """What a column of the clip, or of the input table, says in words."""
    value: Any = clip.values.get(column)
    if value is None:
        value = input_cell(clip.video.values.get("extra"), column)
    text = "" if value is None else str(value)
    if text.startswith("[["):  # texts in the picture, each with a number
        with suppress(ValueError, TypeError, IndexError):
            text = ", ".join(f'"{one[0]}"' for one in json.loads(text))
    return _one_line(text.replace("_", " "))
