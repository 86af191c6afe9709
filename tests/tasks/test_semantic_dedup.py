"""semantic_dedup: the first of clips that look alike stays, later ones near it name it."""

from __future__ import annotations

import errno
import math
import os
from fractions import Fraction
from pathlib import Path

import pytest

from curate.configs.errors import ConfigError, DiskFull
from curate.configs.pipeline import Pipeline
from curate.configs.settings import Settings
from curate.db import datasets
from curate.db.redo import redo
from curate.tasks.semantic_dedup import SemanticDedup, SemanticDedupOptions
from curate.tasks.stage import Clip, Context, Fit, Video
from tests.embedded import centroids, embed, fit, rows_at
from tests.pipelines import Line, make_line, pipeline
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("concept_stages")
FOUND = "SELECT semantic_duplicate, semantic_duplicate_of, status FROM clips ORDER BY id"
ANGLES = (0, 2, 40, 3, 41, 19, 21, 62)
EPS = 1 - math.cos(math.radians(2.5))


def steps(size: int = 512, eps: float = EPS) -> list[object]:
    dedup = {"stage": "semantic_dedup", "batch_size": size, "eps": eps}
    return ["embed", "concept", dedup, "unlike: semantic_duplicate = 0", "third"]


def put(line: Line, video: str, *angles: float) -> list[int]:
    """Clips at these angles, of a video of their own."""
    ids = line.put_clips(len(angles), "concept", f"/v/{video}.mp4")
    embed(line, {i: [angle] for i, angle in zip(ids, angles, strict=True)})
    return ids


@pytest.mark.parametrize("size", [1, 3, 512])
def test_a_clip_near_an_earlier_kept_one_is_a_duplicate_whatever_the_batches(
    database_url: str, home: Path, size: int
) -> None:
    line = make_line(database_url, home, steps(size))
    ids = put(line, "a", *ANGLES)
    fit(line, 0, 40, 70)
    run_all(line, "concept", "semantic_dedup")
    # 3 is near 2, which is itself dropped; 19 and 21 are near each other, in two concepts
    assert [row[0] for row in line.rows("SELECT concept FROM clips ORDER BY id")][5:7] == [0, 1]
    assert line.rows(FOUND) == [
        (0, None, "active"), (1, ids[0], "dropped"), (0, None, "active"), (0, None, "active"),
        (1, ids[2], "dropped"), (0, None, "active"), (1, ids[5], "dropped"), (0, None, "active"),
    ]  # fmt: skip


def test_another_process_knows_what_was_kept_before(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, steps())
    first = put(line, "a", 0, 40)
    fit(line, 0, 40)
    run_all(line, "concept", "semantic_dedup")
    put(line, "b", 1, 41, 30)
    run_all(line, "concept", "semantic_dedup")
    assert line.rows(FOUND)[2:] == [
        (1, first[0], "dropped"), (1, first[1], "dropped"), (0, None, "active"),
    ]  # fmt: skip
    assert [row[0] for row in line.rows("SELECT semantic_seq FROM clips ORDER BY id")] == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip


def test_when_concepts_are_fitted_anew_later_clips_are_compared_with_all_before(
    database_url: str, home: Path
) -> None:
    line = make_line(database_url, home, steps())
    first = put(line, "a", 19, 40)
    fit(line, 0, 40)
    run_all(line, "concept", "semantic_dedup")
    fit(line, 20, 50)
    put(line, "b", 20, 60)
    run_all(line, "concept", "semantic_dedup")
    assert line.rows(FOUND)[2:] == [(1, first[0], "dropped"), (0, None, "active")]
    dataset = datasets.pick(line.engine, "set")
    before = line.rows(FOUND)
    assert redo(line.engine, dataset, line.pipeline, "concept", then=["semantic_dedup"]).back == 4
    run_all(line, "concept", "semantic_dedup")
    assert line.rows(FOUND) == before


def test_a_redo_with_a_smaller_eps_brings_clips_back(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, steps())
    put(line, "a", 0, 2)
    fit(line, 0)
    run_all(line, "concept", "semantic_dedup", "third")
    assert [row[2] for row in line.rows(FOUND)] == ["kept", "dropped"]
    dataset = datasets.pick(line.engine, "set")
    narrow = pipeline(*steps(eps=EPS / 4))  # type: ignore[arg-type]
    assert redo(line.engine, dataset, narrow, "semantic_dedup").back == 2
    run_all(line, "semantic_dedup", "third")
    assert [row[2] for row in line.rows(FOUND)] == ["kept", "kept"]


def test_clips_that_cannot_be_compared_fail_alone_and_others_of_the_batch_do_not(
    sqlite_url: str, home: Path
) -> None:
    line = make_line(sqlite_url, home, steps())
    a, b, c, d = line.put_clips(4, "semantic_dedup")
    embed(line, {a: [0], c: [1]})
    embed(line, {b: [0]}, revision="r2")
    embed(line, {d: [0]}, model="other")
    fit(line, 0)
    run_all(line, "semantic_dedup")
    assert line.rows("SELECT status, reason, semantic_duplicate_of FROM clips ORDER BY id") == [
        ("active", None, None), ("failed", "OtherFit", None), ("dropped", "unlike", a),
        ("failed", "EmbeddingMissing", None),
    ]  # fmt: skip


def test_a_full_disk_blames_no_clip(
    sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = make_line(sqlite_url, home, steps(size=2))
    put(line, "a", 0, 40, 80)
    fit(line, 0)
    run_all(line, "concept")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DiskFull):
        patch.setattr(os, "pwrite", full)
        run_all(line, "semantic_dedup")
    run_all(line, "semantic_dedup")
    assert [row[0] for row in line.rows(FOUND)] == [0, 0, 0]


def test_it_needs_the_stage_that_writes_concepts_before_it() -> None:
    with pytest.raises(ConfigError, match="put the stage concept before it"):
        SemanticDedup.check_before(SemanticDedupOptions(), Pipeline(()))
    SemanticDedup.check_before(SemanticDedupOptions(), pipeline("embed", "concept"))


@pytest.mark.parametrize(
    ("model", "eps", "found"),
    [
        ("m", None, None),
        ("efficientnet-lite0", None, 1),
        ("efficientnet-lite0", 0.1, None),
        ("m", 0.2, 1),
    ],
)
def test_eps_left_out_is_that_of_what_embedded(
    tmp_path: Path, model: str, eps: float | None, found: int | None
) -> None:
    """30 degrees are 0.134."""
    learned = Fit(1, model, "r1", centroids(0, 90))
    context = Context(Settings(home=tmp_path), fit=learned)
    stage = SemanticDedup(SemanticDedupOptions(eps=eps), context)
    stage.load()
    stage.extend([{"id": 1, "embeddings": rows_at(0, model=model)}])
    video, tables = Video(1, 1, "/a.mp4", "a.mp4", {}), {"embeddings": rows_at(30, model=model)}
    clip = Clip(2, 1, 0, video, 0, 1, Fraction(1), {}, tmp_path, tables)
    (match,) = stage.matches([clip])
    assert match == (found and (found, pytest.approx(0.134, abs=1e-3)))
