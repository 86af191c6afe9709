"""Clips picked by hand: kept or dropped whatever filters say, now and whenever they decide."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate.configs.errors import NotPicked, UsageError
from curate.configs.pipeline import DONE
from curate.db import datasets
from curate.db.picks import Picked, count_picks, pick_clips
from curate.db.queue.ordered import taken_since
from curate.db.redo import redo
from curate.db.refilter import replace_pipeline
from curate.db.save.batch import Outcomes
from curate.db.schema import DROP, KEEP
from tests.pipelines import Line, make_line, pipeline

STEPS = ["score", "good: score >= 2", "second", "dedup", "unique: duplicate = 0", "third"]


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Six clips that are through, with the scores 0 to 5: 0 and 1 are dropped before `second`."""
    line = make_line(database_url, home, STEPS)
    line.put_clips(6, DONE, status="kept")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET score = clip_index, duplicate = 0, dedup_seq = clip_index + 1")
        )
        connection.execute(
            text(
                "UPDATE clips SET stage = 'second', status = 'dropped', reason = 'good', "
                "duplicate = NULL, dedup_seq = NULL WHERE score < 2"
            )
        )
    return line


def pick(line: Line, picked: str | None, *ids: int) -> Picked:
    dataset = datasets.pick(line.engine, line.dataset.name)
    return pick_clips(line.engine, dataset, line.pipeline, picked, ids)


def copies(line: Line, original: int, *duplicates: int) -> None:
    """Let clips be duplicates of another one, as dedup finds them."""
    with line.engine.begin() as connection:
        for number in duplicates:
            connection.execute(
                text(
                    "UPDATE clips SET duplicate = 1, duplicate_of = :o, duplicate_distance = 3, "
                    "stage = 'third', status = 'dropped', reason = 'unique' WHERE id = :i"
                ),
                {"o": original, "i": number},
            )


def positions(line: Line) -> dict[int, tuple[Any, ...]]:
    rows = line.rows("SELECT id, stage, status, reason, picked FROM clips ORDER BY id")
    return {row[0]: row[1:] for row in rows}


def originals(line: Line) -> dict[int, int | None]:
    rows = line.rows("SELECT id, duplicate_of, duplicate FROM clips WHERE dedup_seq IS NOT NULL")
    assert all((of is not None) == bool(flag) for _, of, flag in rows)
    return {row_id: of for row_id, of, _ in rows}


def test_a_clip_to_drop_is_dropped_and_one_to_keep_goes_on_where_it_stood(line: Line) -> None:
    done = pick(line, DROP, 3, 4)
    assert (done.clips, done.changed, done.dropped, done.come_back) == (2, 2, 2, 0)
    done = pick(line, KEEP, 1, 5)
    assert (done.changed, done.dropped, done.come_back) == (2, 0, 1)
    rows = positions(line)
    assert rows[3] == rows[4] == (DONE, "dropped", "picked", DROP)
    assert rows[1] == ("second", "active", None, KEEP)
    assert rows[5] == (DONE, "kept", None, KEEP)
    assert count_picks(line.engine, line.dataset.id) == {KEEP: 2, DROP: 2}


def test_undo_lets_the_filters_decide_again(line: Line) -> None:
    before = positions(line)
    pick(line, DROP, 1, 3)
    pick(line, KEEP, 2)
    assert positions(line)[1] == ("second", "dropped", "picked", DROP)
    done = pick(line, None, 1, 2, 3)
    assert (done.come_back, done.dropped) == (1, 1)
    assert positions(line) == before
    assert pick(line, None, 1, 2, 3).changed == 0


@pytest.mark.parametrize("other", ["good: score >= 5", "good: score >= 0"])
def test_picks_survive_a_refilter(line: Line, other: str) -> None:
    pick(line, DROP, 3)
    pick(line, KEEP, 4)
    steps = [other if step.startswith("good") else step for step in STEPS]
    replace_pipeline(line.engine, datasets.pick(line.engine, None), pipeline(*steps))
    rows = positions(line)
    assert rows[3][1:3] == ("dropped", "picked")
    assert rows[4][1:3] == ("kept", None)


def test_a_clip_to_keep_stays_when_its_video_falls(line: Line) -> None:
    pick(line, KEEP, 4)
    wide = {"filter": "wide", "where": "width > 100"}
    from curate.configs.pipeline import parse
    from tests.pipelines import CATALOG

    raw = [{"stage": "probe"}, wide, *line.pipeline.frozen()[1:]]
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET width = 64, num_clips = 6"))
    made = parse(raw, CATALOG, "test")
    replace_pipeline(line.engine, datasets.pick(line.engine, None), made)
    rows = positions(line)
    assert rows[4][1:3] == ("kept", None)
    assert {rows[n][2] for n in (3, 5, 6)} == {"wide"}


def test_picks_survive_a_redo_of_a_stage_before_their_filter(line: Line) -> None:
    pick(line, DROP, 3)
    pick(line, KEEP, 1, 4)
    line.save(line.held("second"), Outcomes(scores={1: {"other": 1.0}}))
    done = redo(line.engine, datasets.pick(line.engine, None), line.pipeline, "score")
    assert (done.back, done.dropped) == (5, 1)
    held = line.held("score")
    assert held.ids == [1, 2, 4, 5, 6]
    line.save(held, Outcomes(scores={i: {"score": 0.0} for i in held.ids}))
    rows = positions(line)
    assert rows[3][1:] == ("dropped", "picked", DROP)
    assert rows[4][1:] == ("kept", None, KEEP)
    assert rows[5][1:3] == ("dropped", "good")


@pytest.mark.parametrize("steps", [STEPS, ["score", "second"]], ids=["filters", "no filter"])
def test_a_row_at_work_gets_its_verdict_when_it_is_saved(
    database_url: str, home: Path, steps: list[str]
) -> None:
    line = make_line(database_url, home, steps)
    kept, dropped, other = line.put_clips(3, "score")
    held = line.held("score")
    assert pick(line, DROP, dropped).at_work == 1
    assert pick(line, KEEP, kept).at_work == 1
    assert {row[1] for row in positions(line).values()} == {"active"}
    saved = line.save(held, Outcomes(scores={i: {"score": 0.0} for i in held.ids}))
    assert saved == 3
    rows = positions(line)
    assert rows[kept][:3] == ("second", "active", None)
    assert rows[dropped][1:3] == ("dropped", "picked")
    assert rows[other][1] == ("dropped" if steps is STEPS else "active")


def test_what_is_dropped_by_hand_counts_as_dropped_in_a_batch_without_filters(
    database_url: str, home: Path
) -> None:
    from curate.db.save.batch import save
    from tests.pipelines import writer

    line = make_line(database_url, home, ["score"])
    ids = line.put_clips(3, "score")
    held = line.held("score")
    pick(line, DROP, ids[0])
    saved = save(line.engine, held, Outcomes(scores={i: {} for i in ids}), writer())
    assert (saved.ok, saved.dropped) == (2, 1)


def test_the_next_copy_takes_the_place_of_an_original_and_gives_it_back(line: Line) -> None:
    copies(line, 3, 4, 6)
    before, of_before = positions(line), originals(line)
    done = pick(line, DROP, 3)
    assert done.originals == [(4, 3)]
    assert (done.dropped, done.come_back) == (1, 1)
    assert originals(line) == {3: 4, 4: None, 5: None, 6: 4}
    assert positions(line)[4][:3] == ("third", "active", None)
    assert positions(line)[6][1:3] == ("dropped", "unique")
    done = pick(line, None, 3)
    assert done.originals == [(3, 4)]
    assert (positions(line), originals(line)) == (before, of_before)


def test_picks_of_copies_can_be_undone_in_any_order(line: Line) -> None:
    copies(line, 3, 4, 5, 6)
    before, of_before = positions(line), originals(line)
    for seed in range(6):
        draw = random.Random(seed)
        chosen = draw.sample([3, 4, 5, 6], 3)
        for number in chosen:
            pick(line, DROP, number)
        (left,) = {3, 4, 5, 6} - set(chosen)
        assert originals(line)[left] is None
        assert positions(line)[left][1] in ("active", "kept")
        draw.shuffle(chosen)
        for number in chosen:
            pick(line, None, number)
        assert (positions(line), originals(line)) == (before, of_before)


def test_when_all_copies_are_dropped_none_takes_a_place(line: Line) -> None:
    copies(line, 3, 4)
    done = pick(line, DROP, 3, 4)
    assert done.originals == []
    assert originals(line) == {3: None, 4: 3, 5: None, 6: None}


def test_a_copy_that_failed_takes_no_place(line: Line) -> None:
    copies(line, 3, 4, 5)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET status = 'failed', reason = 'X' WHERE id = 4"))
    assert pick(line, DROP, 3).originals == [(5, 3)]


def test_a_duplicate_to_keep_stays_one_and_is_kept(line: Line) -> None:
    copies(line, 3, 4)
    assert pick(line, KEEP, 4).originals == []
    assert originals(line)[4] == 3
    assert positions(line)[4][1] == "active"


def test_dedup_forgets_a_dropped_clip_and_learns_it_again(line: Line) -> None:
    order = line.pipeline.by_name["dedup"].order
    assert order is not None

    def recalled() -> list[Any]:
        taken = taken_since(line.engine, line.dataset.id, 0, order)
        return [row["duplicate"] for part in taken for row in part]

    epoch = datasets.pick(line.engine, None).epoch
    pick(line, DROP, 5)
    assert recalled() == [0, 0, None, 0]
    assert datasets.pick(line.engine, None).epoch == epoch + 1
    pick(line, None, 5)
    assert recalled() == [0, 0, 0, 0]
    pick(line, KEEP, 5)
    assert datasets.pick(line.engine, None).epoch == epoch + 2, "nothing to forget"


def test_a_clip_to_drop_leaves_a_batch_of_dedup_whose_result_is_not_saved(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE clips SET stage = 'dedup', status = 'active', duplicate = NULL, "
                "dedup_seq = NULL WHERE id > 3"
            )
        )
    held = line.held("dedup", epoch=datasets.pick(line.engine, None).epoch)
    assert held.ids == [4, 5, 6]
    assert pick(line, DROP, 5).at_work == 0
    assert positions(line)[5][1:3] == ("dropped", "picked")
    scores = {i: {"duplicate": 0, "dedup_seq": i} for i in held.ids}
    assert line.save(held, Outcomes(scores=scores)) == 0
    epoch = datasets.pick(line.engine, None).epoch
    assert line.held("dedup", "again", epoch=epoch).ids == [4, 6]


def test_copies_of_a_deleted_clip_that_are_picked_to_drop_do_not_wait_for_dedup(
    line: Line,
) -> None:
    from curate.db.engine import writing
    from curate.db.save.clips import forget_clips

    (last,) = line.put_clips(1, "third", "/v/copy.mp4")
    copies(line, 3, last)
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET dedup_seq = 9, score = 5 WHERE id = :i"), {"i": last}
        )
    pick(line, DROP, last)
    with writing(line.engine) as connection:
        forget_clips(connection, line.dataset.id, [1], line.pipeline)
    assert positions(line) == {last: ("dedup", "dropped", "picked", DROP)}
    pick(line, None, last)
    assert positions(line) == {last: ("dedup", "active", None, None)}


def test_all_or_nothing_with_what_is_wrong_of_each_kind(line: Line) -> None:
    other = datasets.create(line.engine, "other one", "/w", line.pipeline)
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO clips (id, dataset_id, video_id, clip_index, start_pts, end_pts, "
                "stage, status) VALUES (70, :d, 1, 70, 0, 1, 'done', 'kept')"
            ),
            {"d": other.id},
        )
        connection.execute(text("UPDATE clips SET status = 'failed', reason = 'X' WHERE id = 5"))
        connection.execute(
            text("UPDATE clips SET status = 'dropped', reason = 'empty' WHERE id = 6")
        )
    before = positions(line)
    line.dataset = datasets.pick(line.engine, "set")
    with pytest.raises(NotPicked) as error:
        pick(line, KEEP, 3, 5, 6, 70, *range(900, 907))
    said = str(error.value)
    for part in (
        "no clip 900, 901, 902, 903, 904 and 2 more",
        "clip 70 belongs to dataset other one: --dataset 'other one'",
        "clip 5 failed",
        "a stage, not a filter, dropped clip 6",
    ):
        assert part in said
    assert positions(line) == before
    assert count_picks(line.engine, line.dataset.id) == {}
    pick(line, DROP, 6)
    assert positions(line)[6][1:3] == ("dropped", "empty"), "it keeps its own reason"


def test_it_stops_when_another_command_changed_the_pipeline(line: Line) -> None:
    steps = ["good: score >= 5" if s.startswith("good") else s for s in STEPS]
    replace_pipeline(line.engine, line.dataset, pipeline(*steps))
    with pytest.raises(UsageError, match="Try again"):
        pick_clips(line.engine, line.dataset, line.pipeline, DROP, [3])


def test_many_ids_are_picked_in_parts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.db.picks.IDS_AT_ONCE", 2)
    copies(line, 3, 4, 6)
    done = pick(line, DROP, 1, 2, 3, 5)
    assert (done.changed, done.originals) == (4, [(4, 3)])
    assert [positions(line)[n][2] for n in (1, 2, 3, 5)] == ["picked"] * 4


def test_copies_of_every_stage_that_finds_them_are_free(database_url: str, home: Path) -> None:
    """dedup and text_duplicate, each with its own columns."""
    from curate.configs.pipeline import parse
    from curate.tasks.registry import stages

    line = make_line(database_url, home, [])
    raw = [
        {"stage": "probe"},
        {"stage": "split"},
        {"stage": "dedup"},
        {"stage": "text_duplicate"},
        {"filter": "unique", "where": "duplicate = 0 AND text_duplicate = 0"},
    ]
    made = parse(raw, stages(), "test")
    replace_pipeline(line.engine, line.dataset, made)
    line.pipeline = made
    first, second, third = line.put_clips(3, DONE, status="kept")
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE clips SET duplicate = 0, text_duplicate = 0, dedup_seq = clip_index, "
                "text_seq = clip_index"
            )
        )
        for prefix, number in (("", second), ("text_", third)):
            connection.execute(
                text(
                    f"UPDATE clips SET {prefix}duplicate = 1, {prefix}duplicate_of = :o, "
                    "status = 'dropped', reason = 'unique' WHERE id = :i"
                ),
                {"o": first, "i": number},
            )
    done = pick(line, DROP, first)
    assert sorted(done.originals) == [(second, first), (third, first)]
    assert done.come_back == 2
    assert pick(line, None, first).dropped == 2
