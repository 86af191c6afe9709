"""A sample of clips: the same whatever the order, about as large as asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curate.cli.shared.concept_sample import ConceptSample, hashes, sample_vectors
from curate.db import vectors
from tests.embedded import direction, embed
from tests.pipelines import Line, make_line


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Sixty clips, each at an angle of its own; the first has two frames more."""
    line = make_line(database_url, home, ["embed", "score"])
    ids = line.put_clips(60, "done", status="kept")
    embed(line, {i: [n] for n, i in enumerate(ids) if n})
    embed(line, {ids[0]: [-10, 0, 10]})
    return line


def sample(line: Line, size: int, seed: int = 0, revision: str = "r1") -> list[float]:
    """The angles of a sample."""
    sampling = ConceptSample("m", revision, 60, 1, size, seed)
    found = sample_vectors(line.engine, line.dataset.id, sampling, lambda done: None)
    return [round(float(a)) for a in np.degrees(np.arctan2(found[:, 1], found[:, 0]))]


def test_all_clips_are_taken_where_there_are_no_more(line: Line) -> None:
    assert sample(line, 1000) == [float(n) for n in range(60)], "frames of a clip are one vector"


def test_a_sample_is_as_large_as_asked_for_and_differs_by_seed(line: Line) -> None:
    first = sample(line, 20)
    assert len(first) == 20
    assert first == sorted(first) == sample(line, 20)
    assert sample(line, 20, seed=1) != first


def test_chunks_change_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sample(line, 20)
    monkeypatch.setattr(vectors, "CHUNK", 1)
    assert sample(line, 20) == whole


def test_dropped_clips_and_those_of_other_weights_are_left_out(line: Line) -> None:
    from sqlalchemy import text

    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET status = 'dropped' WHERE clip_index < 50"))
        connection.execute(text("UPDATE embeddings SET revision = 'r2' WHERE clip_id % 2 = 0"))
    assert len(sample(line, 1000)) == 5
    assert direction(0).tolist() == [1, 0]


def test_hashes_are_spread_evenly() -> None:
    found = hashes(range(1, 10_001), 0)
    assert 0 <= found.min() < found.max() <= 1
    assert np.histogram(found, 10, (0, 1))[0] == pytest.approx(1000, abs=150)
