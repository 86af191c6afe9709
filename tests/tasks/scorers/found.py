"""What tests read in what the cases found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Found = Mapping[str, Any]


def vectors(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """The vectors of rows of `embeddings`, (rows, 768)."""
    return np.array(
        [np.frombuffer(bytes.fromhex(row["vector"]), "<f2") for row in rows], np.float32
    )


def reasons(found: Found) -> dict[str, str]:
    """The kinds of the errors of failed clips."""
    return {clip: kind for clip, (kind, _) in found["failed"].items()}
