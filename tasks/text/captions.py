"""The captions of a clip, as stages read and write them: rows of the table `captions`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from curate.configs.texts import input_cell
from curate.tasks.stage import Rows, Video

TABLE = "captions"
# values of `model` for texts that no model wrote
INPUT = "input"  # from the input table
FILE = "file"  # from a file beside the media file
# from `curate captions load`; it takes precedence over all others, and nothing is added to it
HAND = "table"

Source = Literal["first", "last", "longest", "match"]
CaptionRow = Mapping[str, Any]


def new_caption(
    model: str, text: str, *, revision: str = "", prompt: str = "", **values: Any
) -> Rows:
    """The text as the clip's only caption by this model, revision and prompt. `values`: what is
    known of the others, such as `tokens`, `seconds` and `fields`.
    """
    key = {"model": model, "revision": revision, "prompt": prompt}
    unknown = dict.fromkeys(("text", "tokens", "seconds", "match"))
    return Rows(TABLE, key, [{**unknown, "text_raw": text, "created_at": time.time(), **values}])


def input_text(video: Video) -> str | None:
    """The text of a video in the column `text` of the input table; None when there is none.

    The column `text` of its clips may differ, because stages overwrite it.
    """
    text = input_cell(video.values.get("extra"), "text")
    return text if text and text.strip() else None


def rewritten(caption: CaptionRow, **changes: Any) -> Rows:
    """A caption with some values changed. It replaces the one of its id, or else of its model."""
    key_column = "id" if "id" in caption else "model"
    values = {name: v for name, v in {**caption, **changes}.items() if name != key_column}
    return Rows(TABLE, {key_column: caption[key_column]}, [values])


def choose_caption(captions: Sequence[CaptionRow], source: Source) -> CaptionRow | None:
    """The caption that becomes the text of the clip; None when no caption has a `text`.

    That is the newest one loaded by hand, else by `source` the one written first or last, the one
    with the most characters, or the one with the best match (of equal ones the first). The text of
    the input counts only when there is no other caption, and of each model only the newest caption.
    """
    newest = {row["model"]: row for row in captions if row["text"]}
    current = [row for row in captions if row["text"] and newest[row["model"]] is row]
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
