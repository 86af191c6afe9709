"""The captions of two captioners, side by side."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from curate.db.caption_pairs import PairQuery, captioners, pairs
from tests.pipelines import Line, make_line
from tests.tasks.captioned import put_clip


def captioned(url: str, home: Path) -> Line:
    """Three clips: two with captions by `one` and `two`, and one with `one`'s alone."""
    line = make_line(url, home, ["score"])
    put_clip(line, ("one", "old"), ("two", "a cat"), stage="score")
    put_clip(line, ("two", "a bird"), ("one", "a fish"), stage="score")
    put_clip(line, ("one", "alone"), stage="score")
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO captions"
                " (clip_id, model, revision, prompt, text_raw, text, created_at)"
                " SELECT min(id), 'one', 'r2', '', 'raw', 'a dog', 6 FROM clips"
            )
        )
        # a newer one of a window, and those of a captioner that wrote of windows alone
        for model in ("one", "three"):
            window = (
                "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at,"
                " window_start_pts, window_end_pts)"
                f" SELECT id, '{model}', 'r3', '', 'a part', 7, 0, 1 FROM clips"
            )
            connection.execute(text(window))
    return line


def asked(line: Line, where: str = "") -> PairQuery:
    return PairQuery(line.dataset.id, "one", "two", where, {})


def test_each_clip_is_paired_by_the_newest_captions(database_url: str, home: Path) -> None:
    line = captioned(database_url, home)
    assert captioners(line.engine, line.dataset.id) == {"one": 3, "two": 2}
    found = [(pair.a.text, pair.b.text) for pair in pairs(line.engine, asked(line))]
    assert found == [("a dog", "a cat"), ("a fish", "a bird")]
    (second,) = pairs(line.engine, asked(line, "id > 1"))
    assert second.clip == 2
    assert len(list(pairs(line.engine, asked(line), seed="1", most=1))) == 1
