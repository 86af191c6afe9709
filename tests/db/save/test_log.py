"""A row of `batches` for each batch."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import text

from curate.configs.errors import PackageMissing
from curate.db.engine import writing
from curate.db.save.log import Done, Took, log_batch
from tests.pipelines import Line

ROW = "SELECT stage, worker, n_ok, n_failed, version, reason, error FROM batches"


def test_a_batch_says_what_it_did_and_how_long_it_took(line: Line) -> None:
    line.put_clips(1, "score")
    held = replace(line.held("score"), claim_seconds=0.5)
    held = replace(held, started_at=held.started_at - 100)
    with writing(line.engine) as connection:
        log_batch(connection, held, Done(3, 1), "1@host", "9.9")
    assert line.rows(ROW) == [("score", "1@host", 3, 1, "9.9", None, None)]
    ((seconds, claim_seconds),) = line.rows("SELECT seconds, claim_seconds FROM batches")
    assert 100 <= seconds < 160
    assert claim_seconds == 0.5


def test_a_released_batch_says_why_in_text_that_any_database_takes(line: Line) -> None:
    line.put_clips(1, "score")
    error = PackageMissing(what="score", package="a\0b", install="pip install x")
    held = line.held("score")
    with writing(line.engine) as connection:
        log_batch(connection, held, Done(), "1@host", "9.9", error)
    ((reason, message),) = line.rows("SELECT reason, error FROM batches")
    assert reason == "PackageMissing"
    assert "\0" not in message and "pip install x" in message


def test_a_clock_that_was_set_back_gives_no_negative_time(line: Line) -> None:
    line.put_clips(1, "score")
    held = line.held("score")
    with writing(line.engine) as connection:
        log_batch(connection, replace(held, started_at=held.started_at + 1e6), Done(1), "w", "9")
        assert connection.execute(text("SELECT seconds FROM batches")).scalar_one() == 0


def test_a_batch_says_what_the_rows_of_each_video_took(line: Line) -> None:
    line.put_clips(2, "score")
    line.put_clips(1, "score", "/v/y.mp4")
    x, y = (int(row[0]) for row in line.rows("SELECT DISTINCT video_id FROM clips ORDER BY 1"))
    together, alone = Took([x, x, y], 0.75, 1.5), Took([y], 1.0, 2.0)
    held = line.held("score")
    with writing(line.engine) as connection:
        log_batch(connection, held, Done(3, took=[together, alone]), "1@host", "9.9")
    ((cpu, by_video),) = line.rows("SELECT cpu_seconds, by_video FROM batches")
    assert cpu == 1.75
    assert json.loads(by_video) == [[x, 2, 0.5, 1.0], [y, 1, 1.25, 2.5]]
