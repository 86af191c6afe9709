"""Rows of the database as the clips of an export, and these in parts that are written at once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from curate.configs.row_errors import Unreadable
from curate.db.export import ExportPlan, ExportRow
from curate.export.files import changed, length
from curate.export.format import NEEDED, Item, MediaFormat, Way

MEMBERS = 3 * 512  # bytes of a shard that a clip takes besides its file, about


def items(
    rows: Iterable[ExportRow], plan: ExportPlan, format: MediaFormat, way: Way, left: Counter[str]
) -> Iterator[Item]:
    """The clips that a format can hold, in order; those that it cannot are counted in `left` by the
    reason.
    """
    at = [plan.read.index(name) for name in NEEDED]
    beside = [plan.read.index(name) for name in format.needs(way)]
    count = len(way.names)
    for values, file, size, own_file in rows:
        clip_id, path, text, width, height, fps, frames = [values[n] for n in at]
        when = changed(file) if format.needs_file and way.files != "none" else 0
        more = [values[n] for n in beside]
        item = Item(
            clip_id, file, size or 0, text, width, height, fps, frames, values[:count], when, more
        )
        if format.needs_file and not own_file:
            why = "have no file of their own, for they were not cut"
        elif format.needs_text and not text:
            why = "have no caption"
        elif format.endings is not None and item.ending not in format.endings:
            takes = ", ".join(format.endings)
            why = f"have files that its reader does not open: it takes {takes}"
        elif way.files == "none" and path != file:
            why = "have a path that is not UTF-8"
        else:
            why = format.refuses(item, way)
        if not why and size is None and format.needs_file:
            try:
                item = item._replace(size=length(file))
            except (OSError, Unreadable):
                why = "have a file that is gone or cannot be read"
        if why:
            left[why] += 1
        else:
            yield item


def parts(found: Iterable[Item], most: int, most_bytes: int | None) -> Iterator[list[Item]]:
    """The clips in parts of at most so many, and so many bytes of files unless a part has one."""
    part: list[Item] = []
    size = 0
    for item in found:
        more = item.size + MEMBERS
        full = most_bytes is not None and size + more > most_bytes
        if part and (full or len(part) == most):
            yield part
            part, size = [], 0
        part.append(item)
        size += more
    if part:
        yield part


def digest(part: Sequence[Item]) -> str:
    """A hash of all that is written of these clips; of their files, size and time of change."""
    lines = (json.dumps(item, ensure_ascii=True) for item in part)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
