"""The captions of a clip, as stages read and write them: rows of the table `captions`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from curate.configs.texts import input_cell
from curate.tasks.stage import Rows, Video

TABLE = "captions"
# values of `model` for texts that no model wrote
INPUT = "input"  # from the input table
FILE = "file"  # from a file beside the media file
# from `curate captions load`; it takes precedence over all others, and nothing is added to it
HAND = "table"

SET = ("model", "revision", "prompt")  # what captions of one clip that belong together share

Source = Literal["first", "last", "longest", "match"]
Summary = Literal["joined", "best"]  # how the clip's caption is made of those of its windows
CaptionRow = Mapping[str, Any]


@dataclass(frozen=True)
class NewText:
    """A text that was written about a clip or, between two time stamps, about a window of it."""

    text: str
    tokens: int | None = None
    seconds: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    window: tuple[int, int] | None = None

    def row(self, summary: Summary | None = None) -> dict[str, Any]:
        """Its row, without who wrote it."""
        start, end = self.window or (None, None)
        window = {"window_start_pts": start, "window_end_pts": end, "summary": summary}
        told = {"tokens": self.tokens, "seconds": self.seconds, "fields": dict(self.fields)}
        return {**_unknown(self.text), **told, **window}


def new_caption(
    model: str, text: str, *, revision: str = "", prompt: str = "", **values: Any
) -> Rows:
    """The text as the clip's only caption by this model, revision and prompt. `values`: what is
    known of the others, such as `tokens`, `seconds` and `fields`.
    """
    key = {"model": model, "revision": revision, "prompt": prompt}
    return Rows(TABLE, key, [{**_unknown(text), **values}])


def _unknown(text: str) -> dict[str, Any]:
    names = ("text", "tokens", "seconds", "match", "window_start_pts", "window_end_pts", "summary")
    return {**dict.fromkeys(names), "text_raw": text, "created_at": time.time()}


def new_captions(
    key: Mapping[str, str], texts: Sequence[NewText], summary: Summary | None = None
) -> Rows:
    """The texts as all captions of a clip by the model, revision and prompt of `key`.

    To those of windows comes that of the clip, when `summary` is to join them.
    """
    rows = [new.row(summary if new.window else None) for new in texts]
    if summary == "joined" and len(texts) > 1:
        joined = " ".join(new.text.strip() for new in texts)
        fields = {
            name: " ".join(new.fields[name] for new in texts if name in new.fields)
            for name in texts[0].fields
        }
        rows.append(NewText(joined, fields=fields).row(summary))
    return Rows(TABLE, key, rows)


def is_whole(caption: CaptionRow) -> bool:
    """Whether a caption is about the clip, and not about a window of it."""
    return caption.get("window_start_pts") is None


def with_best(captions: Sequence[CaptionRow]) -> list[CaptionRow]:
    """The captions, and that of each clip whose `summary` is its window with the best match.

    Such a caption stays as it is while the same window is the best.
    """
    sets: dict[tuple[str, ...], list[CaptionRow]] = {}
    for row in captions:
        if row.get("summary") == "best":
            sets.setdefault(tuple(row[name] for name in SET), []).append(row)
    found = list(captions)
    for rows in sets.values():
        matched = [row for row in rows if not is_whole(row) and row["match"] is not None]
        if not matched:
            continue
        best = max(matched, key=lambda row: float(row["match"]))
        before = next((row for row in rows if is_whole(row)), None)
        if before is None or before["text_raw"] != best["text_raw"]:
            found = [row for row in found if row is not before]
            copied = {name: best[name] for name in (*SET, "text", "match")}
            own = NewText(best["text_raw"], fields=best.get("fields", {}))
            found.append({**own.row("best"), **copied})
    return found


def input_text(video: Video) -> str | None:
    """The text of a video in the column `text` of the input table; None when there is none.

    The column `text` of its clips may differ, because stages overwrite it.
    """
    text = input_cell(video.values.get("extra"), "text")
    return text if text and text.strip() else None


def rewritten(caption: CaptionRow, **changes: Any) -> Rows:
    """A caption with some values changed. It replaces the one of its id, or else that of the clip
    by its model, revision and prompt.
    """
    changed = {**caption, **changes}
    keys = ("id",) if "id" in caption else (*SET, "window_start_pts")
    values = {name: value for name, value in changed.items() if name not in keys}
    return Rows(TABLE, {name: changed[name] for name in keys}, [values])


def choose_caption(captions: Sequence[CaptionRow], source: Source) -> CaptionRow | None:
    """The caption that becomes the text of the clip; None when no caption has a `text`.

    That is the newest one loaded by hand, else by `source` the one written first or last, the one
    with the most characters, or the one with the best match (of equal ones the first). The text of
    the input counts only when there is no other caption, and of each model only the newest caption.
    Captions of windows are not the clip's.
    """
    with_text = [row for row in captions if row["text"] and is_whole(row)]
    newest = {row["model"]: row for row in with_text}
    current = [row for row in with_text if newest[row["model"]] is row]
    by_hand = [row for row in current if row["model"] == HAND]
    if by_hand:
        return by_hand[-1]
    written = [row for row in current if row["model"] != INPUT] or current
    if not written or source == "first":
        return written[0] if written else None
    if source == "last":
        return written[-1]
    if source == "longest":
        return max(written, key=lambda row: len(row["text"]))
    unmatched = float("-inf")
    return max(written, key=lambda row: unmatched if row["match"] is None else float(row["match"]))
