"""The stage concept: blocked until concepts are fitted, then the nearest centroid of each clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import NotFitted
from tests.embedded import embed, fit
from tests.pipelines import Line, make_line
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("concept_stages")
CONCEPTS = "SELECT concept, concept_fit FROM clips ORDER BY id"


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["embed", "concept"])


def test_until_concepts_are_fitted_clips_wait(line: Line) -> None:
    line.put_clips(2, "concept")
    with pytest.raises(NotFitted, match="curate concepts fit DATASET"):
        run_all(line, "concept")
    assert line.rows("SELECT stage, status, owner FROM clips") == [("concept", "active", None)] * 2
    assert line.rows("SELECT stage, reason FROM batches") == [("concept", "NotFitted")]


def test_a_clip_gets_the_nearest_centroid_by_the_mean_of_its_frames(line: Line) -> None:
    a, b, c = line.put_clips(3, "concept")
    embed(line, {a: [10], b: [80], c: [0, 30, 90]})
    number = fit(line, 0, 60)
    run_all(line, "concept")
    assert line.rows(CONCEPTS) == [(0, number), (1, number), (1, number)]
    distances = [row[0] for row in line.rows("SELECT concept_distance FROM clips ORDER BY id")]
    assert distances[:2] == pytest.approx([0.0152, 0.0603], abs=1e-3)  # 1 - cos of 10 and 20
    assert distances[2] == pytest.approx(0.0603, abs=0.03)


def test_later_clips_go_by_a_newer_fit_and_earlier_ones_keep_theirs(line: Line) -> None:
    (a,) = line.put_clips(1, "concept")
    embed(line, {a: [50]})
    first = fit(line, 0, 60)
    run_all(line, "concept")
    (b,) = line.put_clips(1, "concept", "/v/y.mp4")
    embed(line, {b: [50]})
    second = fit(line, 45)
    run_all(line, "concept")
    assert line.rows(CONCEPTS) == [(1, first), (0, second)]


def test_clips_that_cannot_be_compared_fail_alone(line: Line) -> None:
    a, b, c = line.put_clips(3, "concept")
    embed(line, {a: [10]})
    embed(line, {b: [10]}, revision="r2")
    fit(line, 0)
    run_all(line, "concept")
    assert line.rows("SELECT id, status, reason FROM clips ORDER BY id") == [
        (a, "kept", None), (b, "failed", "OtherFit"), (c, "failed", "EmbeddingMissing"),
    ]  # fmt: skip
