"""semantic_dedup: the first clip of a concept stays, later ones near it name it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline
from curate.db import datasets
from curate.db.redo import redo
from curate.tasks.semantic_dedup import SemanticDedup, SemanticDedupOptions
from tests.embedded import embed, fit
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
    # 3 is near 2, which is itself dropped; 19 and 21 belong to two concepts, and 62 to a third
    assert line.rows(FOUND) == [
        (0, None, "active"), (1, ids[0], "dropped"), (0, None, "active"), (0, None, "active"),
        (1, ids[2], "dropped"), (0, None, "active"), (0, None, "active"), (0, None, "active"),
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


def test_when_concepts_are_fitted_anew_a_redo_compares_all_clips_again(
    database_url: str, home: Path
) -> None:
    line = make_line(database_url, home, steps())
    ids = put(line, "a", 19, 21, 40)
    fit(line, 0, 40)
    run_all(line, "concept", "semantic_dedup", "third")
    assert [row[0] for row in line.rows(FOUND)] == [0, 0, 0], "a border is between the first two"
    fit(line, 20, 50)
    dataset = datasets.pick(line.engine, "set")
    back = redo(line.engine, dataset, line.pipeline, "concept", then=["semantic_dedup"])
    assert back.back == 3
    run_all(line, "concept", "semantic_dedup", "third")
    assert line.rows(FOUND) == [(0, None, "kept"), (1, ids[0], "dropped"), (0, None, "kept")]


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


def test_a_clip_without_a_concept_fails_with_the_way_to_one(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, steps())
    ids = line.put_clips(2, "semantic_dedup")
    embed(line, {i: [0] for i in ids})
    number = fit(line, 0)
    with line.engine.begin() as connection:
        values = {"f": number, "i": ids[1]}
        concept = "UPDATE clips SET concept = 0, concept_fit = :f WHERE id = :i"
        connection.execute(text(concept), values)
    run_all(line, "semantic_dedup")
    assert line.rows("SELECT status, reason FROM clips ORDER BY id") == [
        ("failed", "ConceptMissing"), ("active", None),
    ]  # fmt: skip


def test_it_needs_the_stage_that_writes_concepts_before_it() -> None:
    with pytest.raises(ConfigError, match="put the stage concept before it"):
        SemanticDedup.check_before(SemanticDedupOptions(), Pipeline(()))
    SemanticDedup.check_before(SemanticDedupOptions(), pipeline("embed", "concept"))
