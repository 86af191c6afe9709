"""The perceptual hashes of a clip; imports none of the libraries that make and compare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_ODD_COLUMNS = 0x5555555555555555  # of 8 x 8 bits


@dataclass(frozen=True)
class HashPair:
    """The perceptual hashes of a clip's first and middle frame.

    Each is 16 hex characters, or None for a flat frame.
    """

    first: str | None
    middle: str | None

    def mirrored(self, method: str) -> HashPair:
        """The pair of the mirrored clip, by the method of the hashes; see `mirrored`."""
        return HashPair(mirrored(self.first, method), mirrored(self.middle, method))


def mirrored(text: str | None, method: str) -> str | None:
    """The hash of the mirrored picture, made from the hash of the picture alone.

    Exact for ahash and whash. With phash, whose median moves, it is 2 bits off on average (6 at
    most on 200 frames); with dhash, as many bits as neighbours that are equal.
    """
    if text is None:
        return None
    if method == "phash":  # mirroring turns the sign of the odd columns of the DCT
        return f"{int(text, 16) ^ _ODD_COLUMNS:016x}"
    turned = bytes(int(f"{row:08b}"[::-1], 2) for row in bytes.fromhex(text))
    if method == "dhash":  # what was brighter than its left neighbour is darker than its right one
        turned = bytes(row ^ 0xFF for row in turned)
    return turned.hex()


def pair_of(row: Any) -> HashPair:
    """The hash pair of a row that has hash_first and hash_middle."""
    return HashPair(row["hash_first"], row["hash_middle"])
