"""Lists of clips: each clip once, whatever happens between two pages."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import event

from curate.db.reports.distribution import measures
from curate.db.schema import captions
from curate.view.clips import Wanted, choices, list_clips, sortable
from tests.view.conftest import Client, Rows

# by video, out of the order of their ids: status, reason, flow
STATES = [
    ("kept", None, 3.0), ("dropped", "unique", None), ("kept", None, 1.0),
    ("dropped", "moving", 0.25), ("active", None, None), ("failed", "CutMismatch", 3.0),
    ("dropped", "unique", None), ("kept", None, 3.0), ("dropped", "moving", 0.125),
]  # fmt: skip
STAGE = {"unique": "motion", "moving": "cut", "CutMismatch": "cut", None: "done"}


def fill(rows: Rows) -> dict[int, tuple[str, str | None, float | None]]:
    """Three videos of three clips, the last video first, and another dataset; states by id."""
    pets, other = rows.dataset("pets"), rows.dataset("other")
    videos = [rows.video(pets, f"{name}.mp4") for name in "abc"]
    found = {}
    for number, (status, reason, flow) in reversed(list(enumerate(STATES))):
        stage = "motion" if status == "active" else STAGE[reason]
        values = {"status": status, "reason": reason, "flow": flow, "stage": stage}
        clip = rows.clip(pets, videos[number // 3], number % 3, **values)
        found[clip] = (status, reason, flow)
    rows.clip(other, rows.video(other, "x.mp4"))
    return found


def read(client: Client, wanted: Wanted, limit: int = 2) -> list[int]:
    """All pages of a list."""
    shown = client.home.open()
    ids: list[int] = []
    place = None
    for _ in range(100):
        page, place = list_clips(shown, wanted, place, limit)
        assert len(page) == limit or place is None
        ids += page
        if place is None:
            return ids
    raise AssertionError("it goes on for ever")


def in_order(rows: Rows) -> list[int]:
    with rows.engine.connect() as connection:
        query = "SELECT id FROM clips WHERE dataset_id = 1 ORDER BY video_id, clip_index"
        return [int(row[0]) for row in connection.exec_driver_sql(query)]


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_all_clips_video_by_video(limit: int, rows: Rows, client: Client) -> None:
    fill(rows)
    assert read(client, Wanted(), limit) == in_order(rows)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("kept", ""), ("dropped", ""), ("failed", ""), ("active", ""), ("dropped", "unique"),
        ("dropped", "moving"), ("", "unique"), ("failed", "CutMismatch"), ("kept", "unique"),
    ],
)  # fmt: skip
def test_by_status_and_reason(
    status: str, reason: str, rows: Rows, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = fill(rows)
    fits = [
        clip
        for clip in in_order(rows)
        if states[clip][0] == (status or states[clip][0]) and reason in ("", states[clip][1])
    ]
    wanted = Wanted(status, reason)
    assert read(client, wanted) == fits
    monkeypatch.setattr("curate.view.clips.FEW", 0)  # as if they were many
    assert read(client, wanted) == fits


@pytest.mark.parametrize("few", [0, 10_000])
@pytest.mark.parametrize("descending", [False, True])
def test_by_a_score_with_null_last(
    descending: bool, few: int, rows: Rows, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.view.clips.FEW", few)
    states = fill(rows)
    sign = -1 if descending else 1
    measured = [c for c, s in states.items() if s[2] is not None]
    measured.sort(key=lambda c: (sign * (states[c][2] or 0), sign * c))
    rest = sorted(c for c, s in states.items() if s[2] is None)
    for limit in (1, 2, 3, 50):
        assert read(client, Wanted(sort="flow", descending=descending), limit) == measured + rest


def test_a_clip_that_is_held_by_a_worker_is_in_its_place(rows: Rows, client: Client) -> None:
    fill(rows)
    rows.run("UPDATE clips SET lease_until = 9e9 WHERE id IN (2, 5, 7)")
    assert read(client, Wanted()) == in_order(rows)


@pytest.mark.parametrize("sort", ["", "flow"])
def test_each_clip_comes_once_while_rows_change(sort: str, rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    videos = [rows.video(pets, f"{v}.mp4") for v in range(6)]
    ids = [rows.clip(pets, v, i, flow=float(i)) for v, i in itertools.product(videos, range(4))]
    shown = client.home.open()
    seen: list[int] = []
    place = None
    for turn in itertools.count():
        page, place = list_clips(shown, Wanted("kept", sort=sort), place, 5)
        seen += page
        if place is None:
            break
        # some shown ones leave the list, some that were not shown leave it, some come in
        rows.run("UPDATE clips SET status = 'dropped' WHERE id = :id", id=page[0])
        if turn == 0:
            gone = next(i for i in reversed(ids) if i not in seen)
            rows.run("DELETE FROM clips WHERE id = :id", id=gone)
            rows.clip(pets, rows.video(pets, "late.mp4"), flow=2.5)
    assert len(seen) == len(set(seen))
    assert set(ids) - {gone} <= set(seen)


def test_text_is_looked_for_in_captions_and_paths(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    chosen = rows.clip(pets, rows.video(pets, "a.mp4"), text="A Dog runs")
    beside = rows.clip(pets, rows.video(pets, "b.mp4"))
    named = rows.clip(pets, rows.video(pets, "dogs/100%_c.mp4"))
    rows.clip(pets, rows.video(pets, "d.mp4"), text="a cat")
    row = {"model": "m", "revision": "", "prompt": "", "text_raw": "dOg", "created_at": 1.0}
    rows.insert(captions, {**row, "clip_id": beside})
    assert read(client, Wanted(text="dog")) == [chosen, beside, named]
    assert read(client, Wanted(text="100%_")) == [named]
    assert read(client, Wanted(text="%")) == [named]
    assert read(client, Wanted("kept", text="dog", sort="flow")) == [chosen, beside, named]


def test_captions_are_looked_up_by_clip_not_read_through(guarded: Client) -> None:
    engine, asked = guarded.home.engine, list[tuple[str, Any]]()
    event.listen(engine, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
    list_clips(guarded.home.open(), Wanted("kept", text="dog", sort="flow"))
    plans = []
    with engine.connect() as connection:
        for statement, values in [one for one in asked if "captions" in one[0]]:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.append(" ".join(row[3] for row in rows))
    assert plans
    assert not [plan for plan in plans if "SCAN captions" in plan]


def test_a_page_shows_what_a_clip_is(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    video = rows.video(pets, "<b>.mp4")
    clip = rows.clip(pets, video, 3, flow=1.5, text="x" * 5000, path="/c.mp4", picked="keep")
    found = client.get("/api/clips?sort=flow").json
    (card,) = found["clips"]
    assert found["after"] is None
    assert (card["id"], card["relpath"], card["clip_index"]) == (clip, "<b>.mp4", 3)
    assert (card["score"], card["picked"]) == (1.5, "keep")
    assert len(card["text"]) == 300


def test_pages_follow_each_other(rows: Rows, client: Client) -> None:
    fill(rows)
    for sort in ("", "flow"):
        ids: list[int] = []
        after = ""
        while after is not None:
            page = client.get(f"/api/clips?limit=4&sort={sort}&after={quote(after)}").json
            ids += [card["id"] for card in page["clips"]]
            after = page["after"]
        assert sorted(ids) == sorted(in_order(rows))


def test_what_a_list_can_be_chosen_by(rows: Rows, client: Client) -> None:
    fill(rows)
    found = choices(client.home.open())
    assert found["statuses"] == {"kept": 3, "dropped": 4, "failed": 1, "active": 1}
    assert {(r["status"], r["reason"], r["clips"]) for r in found["reasons"]} == {
        ("dropped", "unique", 2), ("dropped", "moving", 2), ("failed", "CutMismatch", 1),
    }  # fmt: skip
    assert {"flow", "seconds", "static"} <= set(found["columns"])
    assert client.get("/api/clips/choices").json == json.loads(json.dumps(found))


def test_measures_and_the_span_are_sorted_by(guarded: Client) -> None:
    pipeline = guarded.home.open().pipeline
    known = sortable(pipeline)
    assert known.keys() == measures(pipeline, "clip").keys() | {"start_seconds", "end_seconds"}
    assert not known.keys() & {"path", "text", "hash_first", "stage", "id", "motion_form"}


WRONG: list[tuple[str, Any]] = [
    ("status", "x"), ("status", "kept' OR 1=1 --"), ("sort", "id; DROP TABLE clips"),
    ("sort", "owner"), ("sort", "path"), ("order", "up"), ("after", "x"), ("after", "[1"),
    ("after", "[1]"), ("after", "[1, 2, 3]"), ("after", "{}"), ("after", '["1", 2]'),
    ("after", "[1, -1]"), ("after", "[true, 1]"), ("after", "[NaN, 1]"), ("after", "null"),
    ("after", "[1e400, 1]"), ("after", "[" * 99), ("after", f"[1, {10**30}]"),
    ("after", f"[{10**30}, 1]"), ("after", "[null, 1]"), ("limit", "0"), ("limit", "x"),
    ("limit", "1e3"), ("limit", "-1"), ("limit", "99999999999999999999"), ("limit", "٣"),
    ("text", "x" * 201), ("reason", "x" * 201), ("dataset", "x" * 1001),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda v: str(v)[:30])
def test_wrong_arguments_are_refused(name: str, value: str, guarded: Client) -> None:
    answer = guarded.get(f"/api/clips?{name}={quote(value)}")
    assert (answer.status, bool(answer.json["error"])) == (400, True)


@pytest.mark.parametrize(
    "query",
    [
        "text=%00", "reason=%00%01", "text=%ff", "reason=%F0%9F%98%80", "text='", 'text="',
        "text=%25_%5C", "reason=--", "status=&sort=&order=&after=", "status=kept&status=dropped",
        "after=[1,2]&sort=flow", "after=[-1,0]", "after=[1.5,1]&sort=flow", "unknown=1",
    ],
)  # fmt: skip
def test_odd_arguments_never_break_it(query: str, guarded: Client) -> None:
    for path in ("clips", "failed/rows", "clip", "failed", "home", "clips/choices"):
        assert guarded.get(f"/api/{path}?{query}").status in (200, 400, 404)
