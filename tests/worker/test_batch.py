"""One batch from claim to save, in which nothing a stage does takes another row along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate import code_version
from curate.configs.errors import PackageMissing, ServiceError
from curate.tasks.stage import Clip
from curate.worker import batch as module
from curate.worker import stopping
from curate.worker.runner import Runner
from tests.pipelines import CATALOG, Line, Score, make_line
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


def test_a_dataset_goes_through_all_stages(line: Line) -> None:
    line.enqueue("a3.mp4", "b1.mp4")
    reports = run_all(line, "probe", "split", "score")
    assert [r.rpartition(",")[0] for r in reports] == [
        "2 videos: 2 ok, 0 failed, 0 dropped",
        "2 videos: 2 ok, 0 failed, 0 dropped",
        "4 clips: 2 ok, 0 failed, 2 dropped",
    ]
    assert line.rows("SELECT score, status FROM clips ORDER BY id") == [
        (0.0, "dropped"),
        (1.0, "kept"),
        (2.0, "kept"),
        (0.0, "dropped"),
    ]
    assert line.rows("SELECT stage, n_ok FROM batches ORDER BY id") == [
        ("probe", 2),
        ("split", 2),
        ("score", 4),
    ]
    assert line.rows("SELECT DISTINCT version FROM batches") == [(code_version(),)]


def test_a_broken_video_fails_alone_with_advice(line: Line) -> None:
    line.enqueue("broken.mp4", "b1.mp4")
    run_all(line, "probe")
    rows = line.rows("SELECT status, reason, error FROM videos ORDER BY path")
    assert rows[0] == ("active", None, None)
    assert rows[1][:2] == ("failed", "UnexpectedError")
    assert "ValueError" in str(rows[1][2])
    assert "curate retry DATASET --stage probe" in str(rows[1][2])


def test_a_missing_package_blames_no_row(line: Line) -> None:
    hook(PackageMissing(what="score", package="x", install="pip install x"))
    line.enqueue("a2.mp4")
    with pytest.raises(PackageMissing):
        run_all(line, "probe", "split", "score")
    assert line.rows("SELECT DISTINCT status, owner, attempts FROM clips") == [("active", None, 0)]


def test_a_filter_changed_while_a_batch_ran_decides_by_its_new_form(line: Line) -> None:
    from curate.db.datasets import pick
    from curate.db.refilter import replace_pipeline
    from tests.pipelines import pipeline

    def change(clip: Clip) -> None:
        replace_pipeline(
            line.engine, pick(line.engine, None), pipeline("score", "good: score >= 0")
        )

    line.enqueue("a2.mp4")
    run_all(line, "probe", "split")
    Score.hook = staticmethod(change)
    run_all(line, "score")
    assert line.rows("SELECT status FROM clips") == [("kept",)] * 2


def test_disk_rows_are_put_back_when_the_worker_is_told_to_stop(line: Line) -> None:
    def stop(clip: Clip) -> None:
        raise SystemExit

    line.enqueue("a2.mp4")
    run_all(line, "probe", "split")
    Score.hook = staticmethod(stop)
    with pytest.raises(SystemExit):
        run_all(line, "score")
    assert line.rows("SELECT DISTINCT status, owner FROM clips") == [("active", None)]


def test_a_stop_that_a_library_turns_into_an_error_fails_no_row(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C code that imports a module makes an ImportError of whatever is raised in it."""
    monkeypatch.setattr(Score, "stops_at_once", True)
    line.enqueue("a3.mp4")
    run_all(line, "probe", "split")

    def told(clip: Clip) -> None:
        monkeypatch.setattr(stopping, "_told", True)
        raise ImportError("numpy._core.multiarray failed to import")

    Score.hook = staticmethod(told)
    with pytest.raises(stopping.Stopped):
        Runner(line.settings, line.engine).run_one("score")
    free = "SELECT DISTINCT stage, status, error, owner, attempts FROM clips"
    assert line.rows(free) == [("score", "active", None, None, 0)]


def test_a_save_waits_for_a_database_that_does_not_answer(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = module.save, []

    def hiccup(*given: Any) -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ServiceError(what="The database", why="locked")
        return real(*given)

    monkeypatch.setattr(module, "SAVE_WAITS", (0.0, 0.0, 0.0))
    line.enqueue("a1.mp4")
    monkeypatch.setattr(module, "save", hiccup)
    run_all(line, "probe")
    assert line.rows("SELECT stage FROM videos") == [("split",)]


def test_best_keeps_the_larger_clip_whatever_its_place(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.tasks.dedup import Dedup

    monkeypatch.setitem(CATALOG, "dedup", Dedup)
    line = make_line(database_url, home, [{"stage": "dedup", "keep": "best"}])
    small, large, image = (line.put_clips(1, "dedup", f"/v/{n}.mp4")[0] for n in "abc")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET hash_first = :h, hash_middle = :h, resolution = 100"),
            {"h": "0" * 16},
        )
        connection.execute(
            text("UPDATE clips SET resolution = 9000, seconds = 3 WHERE id = :i"), {"i": large}
        )
        connection.execute(text("UPDATE clips SET resolution = 9000 WHERE id = :i"), {"i": image})
    assert len(run_all(line, "dedup")) == 1
    assert line.rows("SELECT id, duplicate_of FROM clips ORDER BY id") == [
        (small, large),
        (large, None),
        (image, large),
    ]


def test_dedup_forgets_the_clips_of_a_file_that_changed(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.db import datasets
    from curate.tasks.dedup import Dedup
    from tests.pipelines import Found

    monkeypatch.setitem(CATALOG, "dedup", Dedup)
    line = make_line(database_url, home, ["dedup"])
    runner = Runner(line.settings, line.engine)
    hashed = text("UPDATE clips SET hash_first = :h, hash_middle = :h")
    line.put_clips(1, "dedup", "/v/a.mp4")
    with line.engine.begin() as connection:
        connection.execute(hashed, {"h": "0" * 16})
    assert runner.run_one("dedup")
    datasets.enqueue(line.engine, line.dataset, [Found("/v/a.mp4", "2")], line.pipeline)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage = 'done', status = 'kept'"))
    line.put_clips(1, "dedup", "/v/b.mp4")
    with line.engine.begin() as connection:
        connection.execute(hashed, {"h": "0" * 16})
    assert runner.run_one("dedup")
    assert line.rows("SELECT duplicate, status FROM clips") == [(0, "kept")]
