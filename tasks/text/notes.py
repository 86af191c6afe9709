"""What is known about a clip in words: what a rewriter is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from curate.configs.texts import input_cell
from curate.tasks.stage import Clip
from curate.tasks.text.captions import HAND, TABLE, CaptionRow, input_text

FIELDS = "fields"  # of a caption that was asked for in fields: texts by field


@dataclass(frozen=True)
class Note:
    """A line that a rewriter is told; `of_clip` is False where it is about a clip beside this."""

    label: str
    text: str
    of_clip: bool = True


def notes_of(clip: Clip, columns: Mapping[str, str]) -> list[Note]:
    """What is known about a clip: the newest caption of each model with its fields, or that loaded
    by hand alone, or the input's text; captions of its windows; the `columns` with their names;
    and captions of the clips beside it. Empty when it has no caption.
    """
    captions = _captions(clip)
    if not captions:
        return []
    labels = {name: columns[name].capitalize() for name in columns}
    told = {labels[name]: _told(clip, name) for name in columns}
    beside = [
        Note(f"Clip {abs(n)} {'before' if n < 0 else 'after'}", text, False)
        for n in sorted(clip.neighbours)
        for text in _newest(clip.neighbours[n].get(TABLE, ()))
    ]
    return [*captions, *[Note(label, text) for label, text in told.items() if text], *beside]


def _captions(clip: Clip) -> list[Note]:
    rows = clip.tables.get(TABLE, ())
    found: list[Note] = []
    for row in _newest_rows(rows):
        found.append(Note("Caption", _text(row)))
        found += [Note(name.capitalize(), text) for name, text in row.get(FIELDS, {}).items()]
    given = None if found else input_text(clip.video)
    return [*found, *([Note("Caption", given)] if given else [])]


def _newest(rows: Sequence[CaptionRow]) -> list[str]:
    return [_text(row) for row in _newest_rows(rows)]


def _newest_rows(rows: Sequence[CaptionRow]) -> list[CaptionRow]:
    newest = list({row["model"]: row for row in rows if _text(row)}.values())
    by_hand = [row for row in newest if row["model"] == HAND]
    return by_hand or newest


def _text(row: CaptionRow) -> str:
    """A caption in one line, as it was cleaned or else written."""
    return " ".join(str(row["text"] or row["text_raw"]).split())


def _told(clip: Clip, column: str) -> str:
    """What a column of the clip, or of the input table, says in words."""
    value: Any = clip.values.get(column)
    if value is None:
        value = input_cell(clip.video.values.get("extra"), column)
    text = "" if value is None else str(value)
    if text.startswith("[["):  # texts in the picture, each with a number
        with suppress(ValueError, TypeError, IndexError):
            text = ", ".join(f'"{one[0]}"' for one in json.loads(text))
    return " ".join(text.replace("_", " ").split())
