"""Embeddings in bulk: those of one dataset and model, each once, in chunks of one revision, on both
engines.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import insert, text, update

from curate.db import vectors
from curate.db.schema import embeddings
from tests.pipelines import Line, make_line


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score"])


def number(value: float) -> bytes:
    return struct.pack("<e", value)


def embed(line: Line, clip: int, frames: int = 1, model: str = "m", revision: str = "r1") -> None:
    """Vectors of one number each: the clip's id and a tenth a frame."""
    row = {"clip_id": clip, "model": model, "revision": revision, "position": 0.5}
    with line.engine.begin() as connection:
        rows = [{**row, "frame": n, "vector": number(clip + n / 8)} for n in range(frames)]
        connection.execute(insert(embeddings), rows)


def all_of(line: Line, model: str = "m", where: str = "") -> list[tuple[int, str, bytes]]:
    """Every embedding found, flat and sorted."""
    chunks = list(vectors.embedded(line.engine, line.dataset.id, model, where))
    assert all(len(ids) == len(found) for ids, _, found in chunks)
    return sorted(
        (i, revision, v) for ids, revision, found in chunks for i, v in zip(ids, found, strict=True)
    )


def test_each_frame_comes_with_its_clip(line: Line) -> None:
    a, b = line.put_clips(2, "done")
    embed(line, a, frames=2)
    embed(line, b)
    assert all_of(line) == [
        (a, "r1", number(a)),
        (a, "r1", number(a + 1 / 8)),
        (b, "r1", number(b)),
    ]


def test_other_models_and_other_datasets_are_left_out(line: Line, home: Path) -> None:
    (a,) = line.put_clips(1, "done")
    embed(line, a)
    embed(line, a, model="other")
    other = make_line(line.settings.database, home, ["score"], name="other")
    (b,) = other.put_clips(1, "done")
    embed(other, b)
    assert all_of(line) == [(a, "r1", number(a))]
    assert all_of(other) == [(b, "r1", number(b))]
    assert all_of(line, "nobody") == []


@pytest.mark.parametrize("chunk", [1, 3])
def test_whatever_the_chunk_each_comes_once(
    chunk: int, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "CHUNK", chunk)
    clips = line.put_clips(5, "done")
    for clip in clips:
        embed(line, clip, frames=2)
    assert [i for i, _, _ in all_of(line)] == [i for clip in clips for i in (clip, clip)]
    sizes = [len(ids) for ids, _, _ in vectors.embedded(line.engine, line.dataset.id, "m")]
    assert max(sizes) <= chunk


def test_a_chunk_is_of_one_revision(line: Line) -> None:
    clips = line.put_clips(4, "done")
    for n, clip in enumerate(clips):
        embed(line, clip, revision=f"r{n % 2}")
    assert [(i, revision) for i, revision, _ in all_of(line)] == [
        (c, f"r{n % 2}") for n, c in enumerate(clips)
    ]


def test_where_is_about_clips(line: Line) -> None:
    a, b, c = line.put_clips(3, "done")
    for clip in (a, b, c):
        embed(line, clip)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET text = 'a 100 % dog' WHERE id = :b"), {"b": b})
    assert [i for i, _, _ in all_of(line, where="clip_index >= 1")] == [b, c]
    assert [i for i, _, _ in all_of(line, where="text LIKE '%100 % dog' OR clip_index = 0")] == [
        a,
        b,
    ]
    assert all_of(line, where="clip_index > 9") == []


def best(line: Line, count: int, where: str = "") -> list[tuple[int, float]]:
    """The clips whose vectors, of one number each, are the largest."""

    def scores(revision: str, found: Sequence[bytes]) -> list[float]:
        assert revision == "r1"
        return [struct.unpack("<e", vector)[0] for vector in found]

    return vectors.best_clips(line.engine, line.dataset.id, "m", scores, count, where)


@pytest.mark.parametrize("chunk", [1, 4096])
def test_the_best_clips_come_first_each_once_by_its_best_frame(
    chunk: int, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "CHUNK", chunk)
    a, b, c = line.put_clips(3, "done")
    for clip in (a, c, b):
        embed(line, clip, frames=3)
    assert best(line, 5) == [(c, c + 0.25), (b, b + 0.25), (a, a + 0.25)]
    assert best(line, 2) == best(line, 5)[:2]
    assert best(line, 5, "clip_index < 2") == best(line, 5)[1:]


def test_equal_clips_come_by_their_id(line: Line) -> None:
    clips = line.put_clips(3, "done")
    for clip in reversed(clips):
        embed(line, clip)
    with line.engine.begin() as connection:
        connection.execute(update(embeddings).values(vector=number(1.0)))
    assert best(line, 2) == [(clip, 1.0) for clip in clips[:2]]


def test_where_no_clip_is_embedded_none_is_best_and_nothing_is_scored(line: Line) -> None:
    line.put_clips(2, "done")
    assert best(line, 5) == []


def test_clips_are_described_by_their_id(line: Line) -> None:
    a, b, _ = line.put_clips(3, "done", "/v/some.mp4", "kept")
    found = vectors.described(line.engine, [b, a, 10_000])
    assert found.keys() == {a, b}
    row = found[b]
    assert (row["dataset"], row["video"], row["clip_index"], row["status"]) == (
        "set",
        "/v/some.mp4",
        1,
        "kept",
    )
    assert vectors.described(line.engine, []) == {}


def test_as_many_clips_as_search_may_show_are_described(line: Line) -> None:
    """An engine takes 65,535 (Postgres) or 32,766 (some SQLites) values in one statement."""
    (a,) = line.put_clips(1, "done")
    assert vectors.described(line.engine, range(a, a + 100_000)).keys() == {a}
