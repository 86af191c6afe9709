"""Rows as stages see them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.tasks.stage import Clip
from tests.pipelines import Line, Score, make_line
from tests.tasks.captioned import INSERT_CAPTION
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score", "good: score >= 1"])


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
    assert seen[1].neighbours == {}
    assert seen[1]["num_frames"] == 10


def test_a_stage_that_declares_it_sees_the_captions_beside_a_clip(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Clip] = []
    monkeypatch.setattr(Score, "reads", ("captions",))
    monkeypatch.setattr(Score, "neighbours", classmethod(lambda cls, options: 1))
    Score.hook = staticmethod(lambda clip: seen.append(clip))
    ids = line.put_clips(3, "score")
    with line.engine.begin() as connection:
        for clip in ids[:2]:
            told = {"clip": clip, "model": "m", "raw": f"{clip} runs"}
            connection.execute(text(INSERT_CAPTION), told)
    run_all(line, "score")
    beside = [
        {n: [row["text_raw"] for row in tables["captions"]] for n, tables in one.neighbours.items()}
        for one in seen
    ]
    told = [f"{clip} runs" for clip in ids]
    assert beside == [{1: [told[1]]}, {-1: [told[0]], 1: []}, {-1: [told[1]]}]
