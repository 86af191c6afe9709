"""Texts that a language model wrote of what is known about a clip: rows of the table `rewrites`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

REWRITES = "rewrites"


def newest_rewrite(rows: Sequence[Mapping[str, Any]], variant: str) -> Mapping[str, Any] | None:
    """What was written last of a clip as this variant, whoever wrote it; None: nothing."""
    return next((row for row in reversed(rows) if row["variant"] == variant), None)
