"""What a stage found, checked before it is saved: rows of other tables, and errors in the place of
outcomes.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from curate.configs.errors import PackageMissing, ServiceError
from curate.configs.row_errors import RowError
from curate.configs.schema import Column, StageOptions
from curate.tasks.stage import Clip, Outcome, Rows, Scorer, Scores
from tests.pipelines import CATALOG, Embed, Heads, InOrder, Line, Score, embedding, make_line
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score", "good: score >= 1"])


def hook(result: Any) -> None:
    """Every clip scores `result`; an exception is raised for the clip of index 1 only."""

    def scored(clip: Clip) -> Any:
        if clip.index != 1:
            return None
        if isinstance(result, Exception):
            raise result
        return result

    Score.hook = staticmethod(scored)


# ---- rows of other tables


@pytest.fixture
def embeds(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["embed", "heads"])


def test_what_one_stage_writes_beside_its_columns_another_reads(embeds: Line) -> None:
    Embed.hook = staticmethod(lambda clip: [embedding(1.5, frames=clip.index)])
    embeds.enqueue("a3.mp4")
    run_all(embeds, "probe", "split", "embed", "heads")
    assert embeds.rows("SELECT heads, status FROM clips ORDER BY clip_index") == [
        (n, "kept") for n in range(3)
    ]
    assert Heads.seen[0] == {"embeddings": (), "option_scores": ()}
    assert [row["frame"] for row in Heads.seen[2]["embeddings"]] == [0, 1]


VECTOR = {"frame": 0, "position": 0.5, "revision": "r1", "vector": b"\x00\x3c"}
INFINITE = b"\x00\x3c\x00\x7c"  # 1 and infinity, in float16


@pytest.mark.parametrize(
    ("rows", "reason", "says"),
    [
        (
            Rows("embeddings", {"model": "m"}, [VECTOR | {"position": float("nan")}]),
            "NotFinite",
            "embeddings.position",
        ),
        (
            Rows("embeddings", {"model": "m"}, [VECTOR | {"vector": INFINITE}]),
            "NotFinite",
            "embeddings.vector",
        ),
        (
            Rows("embeddings", {"model": "m"}, [VECTOR | {"vector": "text"}]),
            "UnexpectedError",
            "no bytes",
        ),
        (
            Rows("embeddings", {"model": "m"}, [VECTOR | {"frame": 0.5}]),
            "UnexpectedError",
            "no int",
        ),
        (Rows("embeddings", {"model": "m"}, [VECTOR | {"colour": 1}]), "UnexpectedError", "colour"),
        (Rows("embeddings", {"model": "m", "clip_id": 1}, []), "UnexpectedError", "clip_id"),
        (Rows("embeddings", {}, [VECTOR]), "UnexpectedError", "model"),
        (Rows("embeddings", {"model": "m"}, [VECTOR, VECTOR]), "UnexpectedError", "one key"),
        (Rows("clips", {}, []), "UnexpectedError", "does not declare"),
        (3, "UnexpectedError", "int"),
    ],
    ids=str,
)
def test_wrong_rows_fail_their_clip_only_and_write_nothing(
    embeds: Line, rows: Any, reason: str, says: str
) -> None:
    Embed.hook = staticmethod(lambda clip: [rows] if clip.index == 1 else None)
    embeds.enqueue("a3.mp4")
    run_all(embeds, "probe", "split", "embed")
    found = embeds.rows("SELECT status, reason, error FROM clips ORDER BY clip_index")
    assert [f[0] for f in found] == ["active", "failed", "active"]
    assert (found[1][1], says in str(found[1][2])) == (reason, True), found[1]
    assert embeds.rows(
        "SELECT DISTINCT clip_index FROM clips c JOIN embeddings e ON e.clip_id = c.id"
        " ORDER BY clip_index"
    ) == [(0,), (2,)]


def test_numpy_numbers_become_numbers_of_the_table(embeds: Line) -> None:
    import numpy as np

    row = VECTOR | {
        "frame": np.int64(4),
        "position": np.float32(0.25),
        "vector": np.float16([1, 2]).tobytes(),
    }
    Embed.hook = staticmethod(lambda clip: [Rows("embeddings", {"model": "m"}, [row])])
    embeds.enqueue("a1.mp4")
    run_all(embeds, "probe", "split", "embed")
    assert embeds.rows("SELECT frame, position FROM embeddings") == [(4, 0.25)]


def test_rows_from_a_stage_of_videos_are_refused(
    embeds: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = CATALOG["probe"]
    monkeypatch.setattr(probe, "writes", ("embeddings",))
    monkeypatch.setattr(probe, "run", lambda self, row: Outcome({}, tables=[embedding(1.0)]))
    embeds.enqueue("a1.mp4")
    run_all(embeds, "probe")
    assert embeds.rows("SELECT status, reason FROM videos") == [("failed", "UnexpectedError")]


# ---- texts


class Says(Scorer[StageOptions]):
    """Text as models and files may have it."""

    name = "says"
    columns = {"said": Column("text", "what it says")}

    def score(self, clip: Clip) -> Scores:
        return {"said": ("a\0b", "c\ud800d", "é\x07")[clip.index]}


def test_what_no_database_takes_in_a_text_is_marked_and_the_rest_kept(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOG, "says", Says)
    line = make_line(database_url, home, ["says"])
    line.enqueue("a3.mp4")
    run_all(line, "probe", "split", "says")
    assert line.rows("SELECT said, status FROM clips ORDER BY clip_index") == [
        ("a\ufffdb", "kept"), ("c?d", "kept"), ("é\x07", "kept"),
    ]  # fmt: skip


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged: xdist cannot send half a character."""
    caplog.set_level(logging.CRITICAL + 1)


class Complains(Says):
    """Fails, drops and finds its service missing with such texts too."""

    name = "complains"
    told: Exception | str = ""

    def run(self, row: Clip) -> Outcome:
        if isinstance(self.told, Exception):
            raise self.told
        return Outcome({}, drop=self.told)


@pytest.mark.parametrize(
    ("told", "reason", "error"),
    [
        (RowError(why="a\0b\ud800c"), "RowError", "The row failed: a\ufffdb?c"),
        (
            ValueError("a\0b\ud800c"),
            "UnexpectedError",
            "complains failed with ValueError: a\ufffdb?c",
        ),
        ("a\0b\ud800c", "a\ufffdb?c", ""),
    ],
    ids=["failed", "raised", "dropped"],
)
@pytest.mark.usefixtures("quiet")
def test_what_no_database_takes_in_a_reason_ends_its_row_all_the_same(
    database_url: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: Any,
    reason: str,
    error: str,
) -> None:
    monkeypatch.setitem(CATALOG, "complains", Complains)
    monkeypatch.setattr(Complains, "told", told)
    line = make_line(database_url, home, ["complains"])
    line.enqueue("a1.mp4")
    run_all(line, "probe", "split", "complains")
    ((found, said),) = line.rows("SELECT reason, error FROM clips")
    assert (found, error in (said or "")) == (reason, True)


@pytest.mark.usefixtures("quiet")
def test_what_no_database_takes_in_an_error_of_a_service_is_told_all_the_same(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOG, "complains", Complains)
    monkeypatch.setattr(Complains, "told", ServiceError(what="It", why="a\0b\ud800c"))
    line = make_line(database_url, home, ["complains"])
    line.enqueue("a1.mp4")
    with pytest.raises(ServiceError):
        run_all(line, "probe", "split", "complains")
    assert "a\ufffdb?c" in line.rows("SELECT error FROM batches WHERE error IS NOT NULL")[0][0]


# ---- errors among the outcomes


class Picky(Score):
    """Scores whole batches, with an error in the place of clip 1."""

    name = "picky"
    error: Exception = RowError(why="too dark")

    def run_batch(self, rows: Any) -> Any:
        return [self.error if r.index == 1 else self.run(r) for r in rows]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(RowError(why="too dark"), "RowError"), (ValueError("x"), "UnexpectedError")],
    ids=str,
)
def test_an_error_in_the_place_of_an_outcome_fails_that_clip_only(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    monkeypatch.setitem(CATALOG, "picky", Picky)
    monkeypatch.setattr(Picky, "error", error)
    line = make_line(database_url, home, ["picky"])
    line.enqueue("a3.mp4")
    assert run_all(line, "probe", "split", "picky")[-1].startswith("3 clips: 2 ok, 1 failed")
    assert line.rows("SELECT score, reason FROM clips ORDER BY clip_index") == [
        (0.0, None),
        (None, reason),
        (2.0, None),
    ]


def test_a_service_error_in_the_place_of_an_outcome_gives_that_row_back_and_saves_the_others(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOG, "picky", Picky)
    monkeypatch.setattr(
        Picky, "error", PackageMissing(what="picky", package="x", install="pip install x")
    )
    line = make_line(database_url, home, ["picky"])
    line.enqueue("a3.mp4")
    with pytest.raises(PackageMissing):
        run_all(line, "probe", "split", "picky")
    found = line.rows("SELECT score, status, owner, attempts FROM clips ORDER BY clip_index")
    assert found == [(0.0, "kept", None, 0), (None, "active", None, 0), (2.0, "kept", None, 0)]
    said = line.rows("SELECT n_ok, n_failed, reason FROM batches WHERE stage = 'picky' ORDER BY id")
    assert said == [(2, 0, None), (0, 0, "PackageMissing")]


def test_an_ordered_stage_saves_none_when_a_row_of_it_is_given_back(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = PackageMissing(what="inorder", package="x", install="pip install x")
    monkeypatch.setattr(
        InOrder, "run_batch", lambda self, rows: [told, *[Outcome({})] * (len(rows) - 1)]
    )
    line = make_line(database_url, home, ["inorder"])
    line.enqueue("a3.mp4")
    with pytest.raises(PackageMissing):
        run_all(line, "probe", "split", "inorder")
    assert line.rows("SELECT DISTINCT status, owner FROM clips") == [("active", None)]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"score": float("nan")}, "NotFinite"),
        ({"score": float("-inf")}, "NotFinite"),
        ({"other": 1.0}, "UnexpectedError"),
        (MemoryError(), "OutOfMemory"),
        (KeyError("x"), "UnexpectedError"),
        ({"score": "high"}, "UnexpectedError"),
        (3, "UnexpectedError"),
    ],
    ids=str,
)
def test_a_bad_score_fails_its_clip_only(line: Line, result: Any, reason: str) -> None:
    hook(result)
    line.enqueue("a3.mp4")
    run_all(line, "probe", "split", "score")
    rows = line.rows("SELECT clip_index, status, reason FROM clips ORDER BY 1")
    assert rows[1] == (1, "failed", reason)
    assert [r[1] for r in (rows[0], rows[2])] == ["dropped", "kept"]


def test_numpy_numbers_are_saved_as_numbers(line: Line) -> None:
    import numpy as np

    hook({"score": np.float32(2.5)})
    line.enqueue("a2.mp4")
    run_all(line, "probe", "split", "score")
    assert line.rows("SELECT score FROM clips WHERE clip_index = 1") == [(2.5,)]


class Batched(Score):
    """Scores whole batches, and fails a batch that holds clip 1."""

    name = "batched"

    def run_batch(self, rows: Any) -> Any:
        if any(r.index == 1 for r in rows):
            raise RuntimeError("bad batch")
        return [self.run(r) for r in rows]


def test_a_batch_that_raises_is_tried_row_by_row(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOG, "batched", Batched)
    line = make_line(database_url, home, ["batched"])
    line.enqueue("a3.mp4", "b1.mp4")
    run_all(line, "probe", "split", "batched")
    assert line.rows("SELECT status FROM clips ORDER BY video_id, clip_index") == [
        ("kept",),
        ("failed",),
        ("kept",),
        ("kept",),
    ]
    query = "SELECT cpu_seconds, by_video FROM batches WHERE stage = 'batched'"
    ((cpu, by_video),) = line.rows(query)
    parts = json.loads(by_video)  # of both tries
    assert [rows for _, rows, _, _ in parts] == [3, 1]
    assert 0 < sum(part[2] for part in parts) == pytest.approx(cpu, abs=1e-4)


def test_too_few_outcomes_fail_the_rows(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Score, "run_batch", lambda self, rows: [])
    line.enqueue("a2.mp4")
    run_all(line, "probe", "split", "score")
    assert line.rows("SELECT DISTINCT status, reason FROM clips") == [("failed", "UnexpectedError")]
