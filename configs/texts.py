"""Texts of rows: as databases take them, and as the input table has them."""

from __future__ import annotations

import json


def storable(text: str) -> str:
    """The text with ? for each half of a character (a lone surrogate) and U+FFFD for NUL: neither
    fits a database.
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def input_cell(extra: str | None, column: str) -> str | None:
    """What the input table says about a video in a column, out of the JSON text `videos.extra`;
    None for nothing.
    """
    value = json.loads(extra or "{}").get(column)
    return None if value is None else str(value)
