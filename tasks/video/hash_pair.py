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


def pair_of(row: Any) -> HashPair:
    """The hashes of a row's frames."""
    return HashPair(row["hash_first"], row["hash_middle"])


def mirrored_pair_of(row: Any) -> HashPair:
    """The hashes of the mirror images of a row's frames."""
    return HashPair(row["hash_first_mirrored"], row["hash_middle_mirrored"])
