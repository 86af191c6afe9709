"""What a preview counts is what a refilter then does: to the row, for any thresholds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate.configs.pipeline import DONE, Pipeline
from curate.db import datasets, refilter
from curate.db.preview import Changes, FilterChange, Preview, preview
from curate.db.refilter import replace_pipeline
from tests.pipelines import Line, make_line, pipeline

VALUES = [None, 0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0, 2.5, -1.0]
ENDS = [
    ("kept", None),
    ("dropped", "good"),
    ("dropped", "best"),
    ("dropped", "stage_did"),
    ("dropped", "picked"),
    ("failed", "NotFinite"),
]
STEPS = ["some: num_frames >= 5", "score", "good: score >= 0.3", "second", "best: other < 1"]


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Rows of every status at every stage, with values of few kinds; filters of both levels."""
    line = make_line(database_url, home, STEPS)
    draw = random.Random(7)
    ids = []
    for number in range(12):
        ids += line.put_clips(draw.randrange(1, 8), "second", f"/v/{number}.mp4")
    clip = (
        "UPDATE clips SET num_frames = :frames, score = :score, other = :other, stage = :stage, "
        "status = :status, reason = :reason, owner = :owner, picked = :picked WHERE id = :id"
    )
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET num_clips = 4, width = id * 10"))
        connection.execute(text("UPDATE videos SET owner = 'o' WHERE id = 3"))
        connection.execute(text("UPDATE videos SET status = 'failed', reason = 'X' WHERE id = 4"))
        for row_id in ids:
            status, reason = draw.choice(ENDS)
            values = {
                "id": row_id, "frames": draw.choice([4, 5, 6]), "score": draw.choice(VALUES),
                "other": draw.choice(VALUES), "stage": draw.choice(["score", "second", DONE]),
                "status": status, "reason": reason, "owner": draw.choice([None] * 5 + ["o"]),
                "picked": "drop" if reason == "picked" else draw.choice([None] * 5 + ["keep"]),
            }  # fmt: skip
            if status == "kept" and values["stage"] != DONE:
                values["status"] = "active"
            connection.execute(text(clip), values)
    # what is there by now follows from the filters, as in a real dataset
    replace_pipeline(line.engine, line.dataset, line.pipeline)
    return line


def with_thresholds(draw: random.Random) -> Pipeline:
    """The pipeline with other filters: thresholds on values, between them, without a filter, of
    videos too.
    """
    numbers = [v for v in VALUES if v is not None]
    steps: list[str | dict[str, Any]] = []
    for name, column, before in (("good", "score", "score"), ("best", "other", "second")):
        steps.append(before)
        sign = draw.choice(["<", "<=", ">", ">=", "=", "<>"])
        number = draw.choice([draw.choice(numbers), round(draw.uniform(-1, 3), 3)])
        where = f"{column} {sign} {number}"
        where += draw.choice(["", "", f" AND num_frames >= {draw.choice([5, 6])}"])
        where += draw.choice(["", "", f" OR {column} IS NULL"])
        if draw.random() < 0.9:
            steps.append(f"{name}: {where}")
    if draw.random() < 0.3:
        steps.insert(0, f"some: num_frames >= {draw.choice([4, 5, 6])}")
    made = pipeline(*steps)
    if draw.random() < 0.5:
        wide = pipeline("score", "wide: num_frames > 0")  # parsed for its step alone
        limit = draw.choice([10, 45, 60, 130])
        step = next(s for s in wide.steps if getattr(s, "where", ""))
        video = type(step)("wide", f"width <= {limit}", "video")  # type: ignore[call-arg]
        made = Pipeline((made.steps[0], video, *made.steps[1:]))
    return made


def rows_of(line: Line, level: str) -> dict[int, tuple[Any, ...]]:
    """Status, reason, owner and stage of all rows, by id."""
    found = line.rows(f"SELECT id, status, reason, owner, stage FROM {level}s")
    return {row[0]: row[1:] for row in found}


def done_to(before: dict[int, Any], after: dict[int, Any]) -> dict[str, Counter[Any]]:
    """What became of rows: how many are kept, lost and come back, in all (None) and by filter."""
    found: dict[str, Counter[Any]] = {
        name: Counter() for name in ("kept", "lost", "come_back", "to_go")
    }
    for row_id, (status, reason, owner, stage) in before.items():
        now_status, now_reason = after[row_id][:2]
        if owner or status == "failed" or now_status == "failed":
            continue
        was, goes = status != "dropped", now_status != "dropped"
        if was and goes:
            found["kept"][None] += 1
        elif was:
            found["lost"].update([None, now_reason])
        elif goes:
            found["come_back"].update([None, reason])
            found["to_go"].update([None, reason] if stage != DONE else [])
    return found


@pytest.mark.parametrize("seed", range(2))
def test_it_counts_what_a_refilter_then_does(
    line: Line, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refilter, "ROWS_AT_ONCE", 11)
    draw = random.Random(seed)
    for _ in range(8):
        dataset, changed = datasets.pick(line.engine, None), with_thresholds(draw)
        before = {level: rows_of(line, level) for level in ("video", "clip")}
        told = preview(line.engine, dataset, changed)
        assert before == {level: rows_of(line, level) for level in before}, "nothing is written"
        counts = replace_pipeline(line.engine, dataset, changed)
        for level, rows in before.items():
            done = done_to(rows, rows_of(line, level))
            of_level = told.in_all[level]  # type: ignore[index]
            assert {name: done[name][None] for name in done} == {
                name: getattr(of_level, name) for name in done
            }
            by_filter = [f for f in told.filters if f.level == level]
            for name in ("lost", "come_back", "to_go"):
                told_of = Counter({f.name: getattr(f.changes, name) for f in by_filter})
                del done[name][None]
                assert +told_of == +done[name], (name, changed)
        total = {n: sum(getattr(c, n) for c in told.in_all.values()) for n in ("lost", "come_back")}
        assert counts == {"revived": total["come_back"], "dropped": total["lost"]}


def of(found: Preview, name: str) -> Iterator[FilterChange]:
    return (change for change in found.filters if change.name == name)


def test_rows_without_a_measure_are_told_apart_and_stay_dropped(
    database_url: str, home: Path
) -> None:
    line = make_line(database_url, home, ["score", "good: score >= 2", "second"])
    line.put_clips(4, "second")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET score = clip_index WHERE clip_index > 0"))
    replace_pipeline(line.engine, line.dataset, line.pipeline)
    dataset = datasets.pick(line.engine, None)
    found = preview(line.engine, dataset, pipeline("score", "good: score >= 1", "second"))
    (good,) = of(found, "good")
    assert (good.old, good.new, good.level) == ("score >= 2", "score >= 1", "clip")
    assert good.changes == Changes(kept=2, lost=0, come_back=1, to_go=1, unmeasured=1)
    assert found.in_all["clip"] == good.changes


def test_clips_that_fall_with_their_video_are_counted_apart(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, ["score"])
    line.put_clips(3, DONE, status="kept")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET num_clips = 3, width = 64"))
    probe, *rest = line.pipeline.steps
    some = next(s for s in pipeline("score", "x: score > 0").steps if hasattr(s, "where"))
    wide = type(some)("wide", "width > 64", "video")  # type: ignore[call-arg]
    found = preview(line.engine, line.dataset, Pipeline((probe, wide, *rest)))
    videos, clips = of(found, "wide")
    assert (videos.level, videos.changes.lost, videos.old) == ("video", 1, None)
    assert (clips.level, clips.changes.lost) == ("clip", 3)


def test_a_filter_that_goes_gives_back_what_it_dropped(line: Line) -> None:
    dropped = line.rows("SELECT id FROM clips WHERE reason = 'good' AND owner IS NULL")
    dataset = datasets.pick(line.engine, None)
    found = preview(line.engine, dataset, pipeline("some: num_frames >= 5", "score", "second"))
    (good,) = of(found, "good")
    assert good.new is None
    assert good.changes.come_back == len(dropped) > 0


def test_rows_at_work_are_told_and_counted_nowhere_else(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET status='active', owner='me', lease_until=9e9, stage='second'")
        )
    found = preview(line.engine, datasets.pick(line.engine, None), pipeline("score", "second"))
    assert found.at_work == line.rows("SELECT count(*) FROM clips")[0][0]
    assert found.in_all["clip"] == Changes()


def test_it_reports_rows_judged_of_all(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refilter, "ROWS_AT_ONCE", 20)
    told: list[tuple[int, int]] = []
    dataset = datasets.pick(line.engine, None)
    preview(line.engine, dataset, line.pipeline, lambda done, total: told.append((done, total)))
    assert len(told) > 1
    assert told[-1][0] == told[-1][1]
