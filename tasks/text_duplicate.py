"""Finds clips whose text an earlier clip has: the stage `text_duplicate`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from curate.configs.schema import Column, Order, StageOptions
from curate.tasks.stage import Clip, Context, DuplicateStage

_MARKS = re.compile(r"[\W_]+")


class TextDuplicateOptions(StageOptions):
    """Options of `text_duplicate`."""

    batch_size: int = Field(4096, ge=1, le=4096, description="rows claimed by one task")
    compare: Literal["exact", "words"] = Field(
        "exact",
        description="exact: every character, as the scripts; words: letters, digits, in any case",
    )


class TextDuplicate(DuplicateStage[TextDuplicateOptions]):
    """Marks a clip whose `text` an earlier surviving clip of the dataset has.

    A clip without a text is no duplicate. Clips are taken in the order (video id, clip index), so
    the result does not depend on which worker was faster. They are compared once: texts that
    `curate reclean` or `recaption` change afterwards are not compared again.
    """

    name = "text_duplicate"
    Options = TextDuplicateOptions
    columns = {
        "text_duplicate": Column(
            "int", "1 when an earlier surviving clip has the same text", 0, 1, "lower"
        ),
        "text_duplicate_of": Column("int", "id of that clip"),
        "text_seq": Column("int", "the order in which clips were looked at", 1),
    }

    def __init__(self, options: TextDuplicateOptions, context: Context) -> None:
        super().__init__(options, context)
        self._first: dict[bytes, int] = {}  # key of a text: id of the clip that had it first

    @classmethod
    def order(cls, options: Any) -> Order:
        """(video id, clip index)."""
        return Order(
            number="text_seq",
            recalled=("text_duplicate", "text"),
            duplicate_of="text_duplicate_of",
            duplicate="text_duplicate",
        )

    def extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Learn survivors, in order."""
        for row in rows:
            if key := self._key(row["text"]):
                self._first.setdefault(key, row["id"])

    def matches(self, rows: Sequence[Clip]) -> list[tuple[int] | None]:
        """For each clip the earliest survivor that has its text."""
        in_batch: dict[bytes, int] = {}
        found: list[tuple[int] | None] = []
        for row in rows:
            key = self._key(row["text"])
            original = self._first.get(key, in_batch.get(key)) if key else None
            if key and original is None:
                in_batch[key] = row.id
            found.append(None if original is None else (original,))
        return found

    def _key(self, text: str | None) -> bytes:
        """16 bytes of a hash that equal texts share; empty for a text with nothing to compare."""
        compared = text or ""
        if self.options.compare == "words":
            compared = _MARKS.sub(" ", compared.casefold())
        compared = compared.strip()
        if not compared:
            return b""
        return hashlib.sha256(compared.encode("utf-8", "replace")).digest()[:16]
