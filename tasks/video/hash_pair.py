"""The perceptual hashes of a clip; imports none of the libraries that make and compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HashPair:
    """The perceptual hashes of a clip's first and middle frame.

    Each is 16 hex characters, or None for a flat frame.
    """

    first: str | None
    middle: str | None


def pairs_of(rows: Sequence[Any]) -> list[HashPair]:
    """The hash pairs of rows that have hash_first and hash_middle."""
    return [HashPair(row["hash_first"], row["hash_middle"]) for row in rows]
