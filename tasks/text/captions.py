"""The captions of a clip, as stages read and write them: rows of the table `captions`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from curate.configs.texts import input_cell
from curate.tasks.stage import Rows, Video

TABLE = "captions"
# what `model` holds for texts that no model wrote
INPUT = "input"  # came with the input table
FILE = "file"  # lay beside the media file
# was loaded by `curate captions load`; goes before all others, and nothing is added to it
HAND = "table"

Source = Literal["first", "last", "longest", "match"]
Row = Mapping[str, Any]


def new_caption(
    model: str,
    text: str,
    *,
    revision: str = "",
    prompt: str = "",
    tokens: int | None = None,
    seconds: float | None = None,
) -> Rows:
    """What a clip has by this model, revision and prompt from now on: this text."""
    where = {"model": model, "revision": revision, "prompt": prompt}
    rest = {"text_raw": text, "text": None, "tokens": tokens, "seconds": seconds}
    rest |= {"match": None, "created_at": time.time()}
    return Rows(TABLE, where, [rest])


def input_text(video: Video) -> str | None:
    """What the column `text` of the input table says about a video; None for nothing.

    The clips' own column `text` is no witness of it: stages write over that.
    """
    told = input_cell(video.values.get("extra"), "text")
    return told if told and told.strip() else None


def again(caption: Row, **changes: Any) -> Rows:
    """The row of a caption with other values, under the number that it has."""
    key = {name: caption[name] for name in (("id",) if "id" in caption else ("model",))}
    return Rows(
        TABLE,
        key,
        [{name: value for name, value in {**caption, **changes}.items() if name not in key}],
    )


def chosen(captions: Sequence[Row], source: Source) -> Row | None:
    """The caption that becomes the text of the clip, of those with a text in `text`; None when
    there is none.

    The newest that was loaded by hand, else by `source`: the one written first or last, that of
    most characters, or that of the best match (of equal ones the first). What came with the input
    counts only when there is no other, and what a model wrote only until it wrote anew (another
    prompt, another revision).
    """
    told = [row for row in captions if row["text"]]
    newest = {row["model"]: row for row in told}
    told = [row for row in told if newest[row["model"]] is row]
    by_hand = [row for row in told if row["model"] == HAND]
    if by_hand:
        return by_hand[-1]
    written = [row for row in told if row["model"] != INPUT] or told
    if not written or source == "first":
        return written[0] if written else None
    if source == "last":
        return written[-1]
    return max(written, key=_matching if source == "match" else lambda row: len(row["text"]))


def _matching(caption: Row) -> float:
    score = caption["match"]
    return float("-inf") if score is None else float(score)
