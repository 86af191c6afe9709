"""Clips with embeddings of two numbers, so that an angle says which are near each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import insert

from curate.db.fits import save_fit
from curate.db.schema import embeddings
from curate.tasks.models.concepts import packed
from curate.tasks.models.embeddings import stored
from curate.tasks.stage import Fit
from tests.pipelines import Line


def direction(degrees: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A vector of unit length."""
    angle = math.radians(degrees)
    return np.array([math.cos(angle), math.sin(angle)], np.float32)


def rows_at(*degrees: float, model: str = "m", revision: str = "r1") -> list[dict[str, Any]]:
    """Rows of `embeddings` of a clip, a frame for each angle."""
    same = {"model": model, "revision": revision, "position": 0.5}
    return [{**same, "frame": n, "vector": stored(direction(d))} for n, d in enumerate(degrees)]


def embed(line: Line, angles: dict[int, Sequence[float]], **by: str) -> None:
    """Give clips embeddings, by id."""
    rows = [
        {"clip_id": i, **row} for i, degrees in angles.items() for row in rows_at(*degrees, **by)
    ]
    with line.engine.begin() as connection:
        connection.execute(insert(embeddings), rows)


def centroids(*degrees: float) -> bytes:
    """Centroids at these angles, as they are stored."""
    return packed(np.stack([direction(d) for d in degrees]))


def a_fit(*degrees: float, number: int = 1) -> Fit:
    """A fit with centroids at these angles."""
    return Fit(number, "m", "r1", centroids(*degrees))


def fit(line: Line, *degrees: float) -> int:
    """Store such a fit for a line's dataset."""
    from curate.db.datasets import pick

    dataset = pick(line.engine, line.dataset.name)
    values = {"model": "m", "revision": "r1", "options": {}, "arrays": centroids(*degrees)}
    return save_fit(line.engine, dataset, line.pipeline, "concept", **values)
