"""How far numbers are from a reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

TITLE = "largest differences from the references"
TOLERANCE = 1e-4  # of float32 scores and features, absolute and relative


@dataclass
class Compare:
    """Compares with a reference; what it finds is kept among the properties of the running test."""

    properties: list[tuple[str, Any]]

    def __call__(
        self, what: str, found: ArrayLike, expected: ArrayLike, tolerance: float = TOLERANCE
    ) -> None:
        """Fail unless absolute and relative difference are below the tolerance (each; see
        differences).
        """
        absolute, relative = differences(found, expected)
        line = (
            f"{what:<44} absolute {absolute:.1e}   relative {relative:.1e}   "
            f"tolerance {tolerance:.0e}"
        )
        self.properties.append((TITLE, line))
        assert absolute < tolerance and relative < tolerance, line


def arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file, by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def differences(found: ArrayLike, expected: ArrayLike) -> tuple[float, float]:
    """The largest absolute difference of an entry, and the largest relative difference of a row.

    A row is what lies along the last axis of a table (a feature vector, the logits of an image), or
    one score of a list; its relative difference is the length of the difference over the length of
    what was expected, where that is not 0. Shapes must be equal, and no entry may be NaN or
    infinite.
    """
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert a.shape == b.shape, (a.shape, b.shape)
    assert a.size and np.isfinite(a).all() and np.isfinite(b).all()
    rows = [x.reshape(-1, x.shape[-1] if x.ndim > 1 else 1) for x in (a - b, b)]
    lengths, expected_lengths = (np.linalg.norm(x, axis=1) for x in rows)
    where = expected_lengths > 0
    relative = float((lengths[where] / expected_lengths[where]).max()) if where.any() else 0.0
    return float(np.abs(a - b).max()), relative
