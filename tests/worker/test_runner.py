"""The runner: one batch from claim to save, in which nothing a stage does takes another row along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate import code_version
from curate.configs.errors import PackageMissing, ServiceError
from curate.tasks.stage import Clip
from curate.worker import runner as module
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
        "2 videos: 2 ok, 0 failed",
        "2 videos: 2 ok, 0 failed",
        "4 clips: 4 ok, 0 failed",
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


def test_nothing_to_do_is_none(line: Line) -> None:
    assert Runner(line.settings, line.engine).run_one("score") is None


def test_a_broken_video_fails_alone_with_advice(line: Line) -> None:
    line.enqueue("broken.mp4", "b1.mp4")
    run_all(line, "probe")
    rows = line.rows("SELECT status, reason, error FROM videos ORDER BY path")
    assert rows[0] == ("active", None, None)
    assert rows[1][:2] == ("failed", "UnexpectedError")
    assert "ValueError" in str(rows[1][2])
    assert "curate retry --stage probe" in str(rows[1][2])


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
    line.enqueue("a3.mp4")
    run_all(line, "probe", "split", "batched")
    assert line.rows("SELECT status FROM clips ORDER BY clip_index") == [
        ("kept",),
        ("failed",),
        ("kept",),
    ]


def test_an_ordered_stage_learns_what_others_took(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, [{"stage": "inorder", "batch_size": 2}])
    line.enqueue("a3.mp4", "b4.mp4")
    one, two = Runner(line.settings, line.engine), Runner(line.settings, line.engine)
    run_all(line, "probe", "split")
    while one.run_one("inorder") and two.run_one("inorder"):
        pass
    assert line.rows("SELECT dedup_seq FROM clips ORDER BY video_id, clip_index") == [
        (n,) for n in range(1, 8)
    ]


def test_two_datasets_with_different_options_share_a_runner(line: Line) -> None:
    from curate.db import datasets
    from tests.pipelines import Found, pipeline

    other = pipeline({"stage": "score", "batch_size": 1})
    second = datasets.create(line.engine, "second", "/w", other)
    datasets.enqueue(line.engine, second, [Found("/w/a2.mp4")], other)
    line.enqueue("a2.mp4")
    reports = run_all(line, "probe", "split", "score")
    assert sorted(r.split(":")[0] for r in reports[-3:]) == ["1 clips", "1 clips", "2 clips"]


def test_the_memory_cap_makes_an_allocation_fail_instead_of_the_host(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = tmp_path / "greedy.py"
    script.write_text(
        "from curate.worker.runner import _cap_memory\n"
        "from tests.pipelines import pipeline\n"
        "_cap_memory(pipeline({'stage': 'score', 'memory_mb': 512}).stage('score'))\n"
        "try:\n    bytearray(1 << 30)\nexcept MemoryError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=Path.cwd(),
                          env={"PYTHONPATH": str(Path.cwd())})  # fmt: skip
    assert done.stdout == "refused\n", done.stderr


def test_disk_rows_are_put_back_when_the_worker_is_told_to_stop(line: Line) -> None:
    def stop(clip: Clip) -> None:
        raise SystemExit

    line.enqueue("a2.mp4")
    run_all(line, "probe", "split")
    Score.hook = staticmethod(stop)
    with pytest.raises(SystemExit):
        run_all(line, "score")
    assert line.rows("SELECT DISTINCT status, owner FROM clips") == [("active", None)]


def test_a_clip_knows_its_span_and_video(line: Line) -> None:
    from fractions import Fraction

    seen: list[Clip] = []
    Score.hook = staticmethod(lambda clip: seen.append(clip))
    line.enqueue("a2.mp4")
    run_all(line, "probe", "split")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET time_base_num = 1, time_base_den = 90000"))
    run_all(line, "score")
    assert (seen[1].start_pts, seen[1].end_pts, seen[1].time_base) == (10, 20, Fraction(1, 90000))
    assert seen[1].video.path == "/v/a2.mp4"
    assert seen[1]["num_frames"] == 10


def test_doorbells_of_a_stage_that_rests_serve_the_stages_before_it(line: Line) -> None:
    runner = Runner(line.settings, line.engine)
    line.enqueue("a3.mp4")
    runner.run_one("probe")
    runner.run_one("split")
    line.enqueue("b1.mp4")

    def fail(clip: Clip) -> None:
        raise PackageMissing(what="score", package="nothing", install="pip install nothing")

    Score.hook = staticmethod(fail)
    with pytest.raises(ServiceError):
        runner.run_one("score")
    report = runner.run_one("score", line.dataset.id)
    assert report is not None
    assert report.step.name == "probe"


def test_a_stage_that_cannot_be_loaded_blames_no_row_and_says_why(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Score) -> None:
        raise OSError("no weights here")

    monkeypatch.setattr(Score, "load", broken)
    line.enqueue("a2.mp4")
    run_all(line, "probe", "split")
    runner = Runner(line.settings, line.engine)
    with pytest.raises(ServiceError, match="no weights here"):
        runner.run_one("score")
    assert runner.run_one("score") is None, "it rests before it tries again"
    assert line.rows("SELECT DISTINCT status, owner FROM clips") == [("active", None)]
    (error,) = line.rows("SELECT error FROM batches WHERE error IS NOT NULL")[0]
    assert "no weights here" in str(error)


def test_too_few_outcomes_fail_the_rows(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Score, "run_batch", lambda self, rows: [])
    line.enqueue("a2.mp4")
    run_all(line, "probe", "split", "score")
    assert line.rows("SELECT DISTINCT status, reason FROM clips") == [("failed", "UnexpectedError")]


def test_a_save_waits_for_a_database_that_does_not_answer(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.db.save import batch as saves

    real, tries = saves.save, []

    def hiccup(*given: Any) -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ServiceError(what="The database", why="locked")
        return real(*given)

    monkeypatch.setattr(module, "SAVE_WAITS", (0.0, 0.0, 0.0))
    line.enqueue("a1.mp4")
    monkeypatch.setattr(module.saves, "save", hiccup)
    run_all(line, "probe")
    assert line.rows("SELECT stage FROM videos") == [("split",)]


def test_a_dataset_that_cannot_be_read_does_not_stop_the_others(line: Line) -> None:
    from curate.db import datasets

    other = datasets.create(line.engine, "other", "/w", line.pipeline)
    with line.engine.begin() as connection:
        gone = '[{"stage": "probe"}, {"stage": "split"}, {"stage": "gone"}]'
        connection.execute(
            text("UPDATE datasets SET pipeline = :p WHERE id = :i"), {"p": gone, "i": other.id}
        )
    line.enqueue("a1.mp4")
    assert len(run_all(line, "probe")) == 1


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
