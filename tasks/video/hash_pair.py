"""The perceptual hashes of a clip; imports none of the libraries that make and compare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HashPair:
    """The perceptual hashes of a clip's first and middle frame.

    Each is 16 hex characters, or None for a flat frame.
    """

    first: str | None
    middle: str | None


def pair_of(row: Any, *, mirrored: bool = False) -> HashPair:
    """The hashes of a row's frames, or of their mirror images."""
    suffix = "_mirrored" if mirrored else ""
    return HashPair(row[f"hash_first{suffix}"], row[f"hash_middle{suffix}"])
