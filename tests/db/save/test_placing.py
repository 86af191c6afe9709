"""Rows are put before their next stage with the verdict of the filters."""

from __future__ import annotations

from sqlalchemy import text

from curate.configs.schema import Order
from curate.db.save.batch import Outcomes
from tests.pipelines import make_line

ORDER = Order(number="dedup_seq", recalled=("duplicate", "hash_first", "hash_middle"))


def test_the_last_stage_keeps_what_passes(database_url: str, home: object) -> None:
    line = make_line(database_url, home, ["score", "good: score >= 2"])
    a, b = line.put_clips(2, "score")
    line.save(line.held("score"), Outcomes(scores={a: {"score": 5.0}, b: {"score": 0.0}}))
    assert line.rows("SELECT stage, status, reason FROM clips ORDER BY id") == [
        ("done", "kept", None),
        ("done", "dropped", "good"),
    ]


def test_percent_signs_colons_and_quotes_in_a_filter_reach_the_engine(
    database_url: str, home: object
) -> None:
    line = make_line(database_url, home, ["score", "odd: path LIKE 'a%:b''%'"])
    a, b = line.put_clips(2, "score")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET path = :p WHERE id = :i"), {"p": "a-:b'x", "i": a}
        )
    line.save(line.held("score"), Outcomes(scores={a: {"score": 1.0}, b: {"score": 1.0}}))
    assert line.rows("SELECT status FROM clips ORDER BY id") == [("kept",), ("dropped",)]
