"""Sides: no source and no pair of copies on two, and none that changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from curate.configs.errors import SidesDiffer
from curate.db import datasets
from curate.db.engine import writing
from curate.db.schema import clips, videos
from curate.db.selection import Selection
from curate.db.sides import Sides, assign_sides, forget_sides, side_of
from tests.pipelines import Line, make_line

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


@pytest.fixture
def line(database_url: str, home: Path) -> Iterator[Line]:
    made = make_line(database_url, home, ["score", "dedup"])
    yield made
    made.engine.dispose()


def add(line: Line, first: int, last: int, chance: random.Random, dataset: int = 1) -> None:
    """Sources of one to five clips; one clip in six is a copy of an earlier original."""
    with writing(line.engine) as connection:
        originals = list(
            connection.scalars(
                select(clips.c.id).where(clips.c.duplicate_of.is_(None)).order_by(clips.c.id)
            )
        )
        for number in range(first, last):
            source = {
                "dataset_id": dataset, "path": f"/v/{number}", "relpath": f"{number}",
                "clip_stem": f"{number}", "fingerprint": "1", "stage": "done", "status": "kept",
            }  # fmt: skip
            video = connection.execute(insert(videos).values(**source)).inserted_primary_key
            assert video is not None
            for index in range(chance.randint(1, 5)):
                copied = chance.choice(originals) if originals and chance.random() < 1 / 6 else None
                clip = {
                    "dataset_id": dataset, "video_id": video[0], "clip_index": index,
                    "start_pts": 0, "end_pts": 1, "stage": "done", "duplicate_of": copied,
                    "status": "dropped" if chance.random() < 0.1 else "kept",
                }  # fmt: skip
                made = connection.execute(insert(clips).values(**clip)).inserted_primary_key
                if copied is None:
                    assert made is not None
                    originals.append(made[0])


def assign(line: Line, selection: Selection | None = None, store: bool = True) -> Sides:
    return assign_sides(line.engine, [(1, line.pipeline)], selection or Selection(), SHARES, store)


def stored(line: Line) -> dict[int, str]:
    """The side of each clip that has one."""
    return dict(line.rows("SELECT id, side FROM clips WHERE side IS NOT NULL"))  # type: ignore[arg-type]


def check(line: Line, sides: dict[int, str]) -> None:
    """No source and no set of copies on two sides."""
    of_source: dict[int, set[str]] = {}
    of_copies: dict[int, set[str]] = {}
    for clip, video, original in line.rows("SELECT id, video_id, duplicate_of FROM clips"):
        if clip in sides:
            of_source.setdefault(video, set()).add(sides[clip])
            of_copies.setdefault(original or clip, set()).add(sides[clip])
    assert {len(found) for found in (*of_source.values(), *of_copies.values())} == {1}


@pytest.mark.parametrize("seed", range(6))
def test_no_source_and_no_copies_on_two_sides_and_no_clip_moves(line: Line, seed: int) -> None:
    chance = random.Random(seed)
    add(line, 0, 60, chance)
    first = assign(line)
    before = stored(line)
    check(line, before)
    kept = {row[0] for row in line.rows("SELECT id FROM clips WHERE status = 'kept'")}
    assert first.left_out == 0 and set(before) == kept
    assert first.clips == {name: list(before.values()).count(name) for name in SHARES}
    add(line, 60, 78, chance)  # 30 % more
    with writing(line.engine) as connection:  # and what was dropped comes back
        connection.execute(text("UPDATE clips SET status = 'kept'"))
    second = assign(line)
    after = stored(line)
    check(line, after)
    assert {clip: after[clip] for clip in before} == before
    without = line.rows("SELECT count(*) FROM clips WHERE side IS NULL")[0][0]
    assert second.left_out == without == len(line.rows("SELECT id FROM clips")) - len(after)
    assert sum(second.new.values()) == len(after) - len(before)
    again = assign(line)
    assert stored(line) == after and again.left_out == without
    assert sum(again.new.values()) == 0


def test_a_clip_that_would_join_two_sides_is_left_out_and_counted(line: Line) -> None:
    add(line, 0, 40, random.Random(0))
    with writing(line.engine) as connection:
        connection.execute(text("UPDATE clips SET duplicate_of = NULL, status = 'kept'"))
    assign(line)
    sides = stored(line)
    one = next(clip for clip, side in sorted(sides.items()) if side == "train")
    other = next(clip for clip, side in sorted(sides.items()) if side == "val")
    with writing(line.engine) as connection:
        row = text(
            "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts, stage,"
            " status, duplicate_of) SELECT 1, video_id, 99, 0, 1, 'done', 'kept', :copied"
            " FROM clips WHERE id = :of"
        )
        connection.execute(row, {"copied": one, "of": other})
        connection.execute(row.bindparams(), {"copied": one, "of": one})
    found = assign(line)
    assert (found.left_out, sum(found.new.values())) == (1, 1)
    assert len(stored(line)) == len(sides) + 1


def test_sources_that_copies_join_follow_the_oldest(line: Line) -> None:
    add(line, 0, 30, random.Random(1))
    with writing(line.engine) as connection:
        connection.execute(text("UPDATE clips SET duplicate_of = NULL, status = 'kept'"))
        first = "(SELECT min(id) FROM clips WHERE video_id = (SELECT min(video_id) FROM clips))"
        connection.execute(
            text(f"UPDATE clips SET duplicate_of = {first} WHERE clip_index = 0 AND id <> {first}")
            if line.engine.dialect.name == "postgresql"
            else text(f"UPDATE clips SET duplicate_of = {first} WHERE clip_index = 0 AND id > 1")
        )
    found = assign(line)
    oldest = side_of("0", SHARES)
    assert set(stored(line).values()) == {oldest} and found.sources[oldest] == 30


def test_copies_that_nobody_asks_for_join_nothing(line: Line) -> None:
    add(line, 0, 60, random.Random(2))
    with writing(line.engine) as connection:
        dropped = "UPDATE clips SET status = 'dropped' WHERE duplicate_of IS NOT NULL"
        connection.execute(text(dropped))
    assign(line)
    by_path = line.rows(
        "SELECT v.relpath, c.side FROM clips c JOIN videos v ON v.id = c.video_id"
        " WHERE c.side IS NOT NULL"
    )
    assert all(side_of(path, SHARES) == side for path, side in by_path)


def test_shares_are_about_those_of_the_sources(line: Line) -> None:
    sides = [side_of(f"folder/{n}.mp4", SHARES) for n in range(3000)]
    for name, share in SHARES.items():
        assert abs(sides.count(name) / 3000 - share) < 0.03
    assert side_of("x", {"all": 1.0}) == "all"


def test_counting_stores_nothing_and_only_what_is_asked_for_is_stored(line: Line) -> None:
    add(line, 0, 20, random.Random(3))
    counted = assign(line, store=False)
    assert stored(line) == {}
    assert assign(line).clips == counted.clips
    forget_sides(line.engine, [1])
    assert stored(line) == {}
    assign(line, Selection(where="clip_id <= 7"))
    assert set(stored(line)) <= set(range(1, 8))


def test_a_side_of_before_that_is_not_named_is_refused(line: Line) -> None:
    add(line, 0, 20, random.Random(4))
    assign(line)
    with pytest.raises(SidesDiffer, match="--resplit"):
        assign_sides(line.engine, [(1, line.pipeline)], Selection(), {"all": 1.0})


@pytest.mark.parametrize("how", ["source", "copy"])
def test_a_new_clip_that_follows_a_side_that_is_not_named_is_refused(line: Line, how: str) -> None:
    add(line, 0, 40, random.Random(4))
    assign(line)
    before = stored(line)
    clip = next(clip for clip, side in sorted(before.items()) if side == "test")
    add(line, 40, 45, random.Random(5))
    with writing(line.engine) as connection:
        connection.execute(text("UPDATE clips SET status = 'dropped' WHERE side = 'test'"))
        connection.execute(text("UPDATE clips SET duplicate_of = NULL WHERE side IS NULL"))
        video = "video_id" if how == "source" else "(SELECT max(id) FROM videos)"
        copied = "NULL" if how == "source" else str(clip)
        row = (
            "INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, end_pts, stage,"
            f" status, duplicate_of) SELECT 1, {video}, 99, 0, 1, 'done', 'kept', {copied}"
            f" FROM clips WHERE id = {clip}"
        )
        connection.execute(text(row))
    two = {"train": 0.9, "val": 0.1}
    with pytest.raises(SidesDiffer, match="on the side test"):
        assign_sides(line.engine, [(1, line.pipeline)], Selection(), two)
    assert stored(line) == before
    with writing(line.engine) as connection:
        connection.execute(text("UPDATE clips SET status = 'dropped' WHERE clip_index = 99"))
    assert "test" not in assign_sides(line.engine, [(1, line.pipeline)], Selection(), two).clips


def test_a_file_of_two_datasets_is_on_one_side(line: Line) -> None:
    datasets.create(line.engine, "second", "/v", line.pipeline)
    for dataset in (1, 2):
        add(line, 0, 30, random.Random(5), dataset)
    chosen = [(1, line.pipeline), (2, line.pipeline)]
    assign_sides(line.engine, chosen, Selection(), SHARES)
    check(line, stored(line))
    by_path: dict[str, set[str]] = {}
    for path, side in line.rows(
        "SELECT v.path, c.side FROM clips c JOIN videos v ON v.id = c.video_id"
        " WHERE c.side IS NOT NULL"
    ):
        by_path.setdefault(path, set()).add(side)
    assert {len(found) for found in by_path.values()} == {1}
    other = "train" if "val" in by_path["/v/3"] else "val"
    with writing(line.engine) as connection:
        moved = "UPDATE clips SET side = :s WHERE video_id IN (SELECT max(id) FROM videos"
        connection.execute(text(f"{moved} WHERE path = '/v/3')"), {"s": other})
    with pytest.raises(SidesDiffer):
        assign_sides(line.engine, chosen, Selection(), SHARES)
