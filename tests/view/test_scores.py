"""The page Scores asks for thresholds, histograms, and what a moved threshold would cost."""

from __future__ import annotations

import shlex
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from curate.configs.errors import NotANumber
from curate.db.datasets import Dataset
from curate.view import scores
from curate.view.loading import WantedRows, read_columns
from curate.view.snapshot import Snapshot, take_snapshot
from tests.view.conftest import STEPS, Client, Rows

UNTOUCHED = {"unmeasured": 0, "at_work": 0}
FLOWS = [0.1, 0.25, 0.5, 0.5, 1.0, 2.0]


@pytest.fixture
def pets(rows: Rows) -> Dataset:
    """A video of six clips that `moving` was asked about, and one that it was not; those below 0.5
    were dropped before `cut`.
    """
    dataset = rows.dataset()
    video = rows.video(dataset)
    for index, flow in enumerate(FLOWS):
        low = {"stage": "cut", "status": "dropped", "reason": "moving"} if flow < 0.5 else {}
        rows.clip(dataset, video, index, duplicate=0, flow=flow, static=0.25, **low)
    rows.clip(dataset, video, 6, duplicate=1, stage="motion", status="dropped", reason="unique")
    return dataset


def ask(client: Client, path: str, **arguments: Any) -> Any:
    answer = client.get(f"/api/{path}?{urlencode(arguments)}")
    assert answer.status == 200, answer.body
    return answer.json


def test_filters_with_their_thresholds_and_what_they_dropped(pets: Dataset, client: Client) -> None:
    unique, moving = ask(client, "scores")["filters"]
    assert (unique["came_in"], unique["dropped"]) == (7, 1)
    assert (unique["thresholds"], unique["others"]) == ([], ["duplicate = 0"])
    assert (moving["came_in"], moving["dropped"]) == (6, 2)
    shown = [(t["key"], t["column"], t["op"], t["number"]) for t in moving["thresholds"]]
    assert shown == [("moving.0", "flow", ">=", 0.5), ("moving.1", "static", "<=", 0.5)]


def test_clips_picked_to_drop_or_fallen_with_their_video_come_to_no_filter(
    rows: Rows, client: Client
) -> None:
    wide, unique = {"filter": "wide", "where": "width > 9"}, STEPS[3]
    dataset = rows.dataset(steps=("probe", wide, "split", "dedup", unique))
    fallen = rows.video(dataset, width=5, status="dropped", reason="wide")
    rows.clip(dataset, fallen, duplicate=0, status="dropped", reason="wide")
    video = rows.video(dataset, "b.mp4", width=10)
    rows.clip(dataset, video, 0, duplicate=0, picked="drop", status="dropped", reason="picked")
    rows.clip(dataset, video, 1, duplicate=0)
    rows.run("UPDATE datasets SET picks = 1")
    shown = {f["name"]: (f["came_in"], f["dropped"]) for f in ask(client, "scores")["filters"]}
    assert shown == {"wide": (2, 1), "unique": (1, 0)}
    steps = [r for r in ask(client, "funnel")["rows"] if r["rows"] == "clips"]
    assert [(r["step"], r["came_in"], r["dropped"]) for r in steps] == [
        ("picked", 3, 1), ("wide", 2, 1), ("dedup", 1, 0), ("unique", 1, 0)
    ]  # fmt: skip


def test_columns_of_no_filter_are_listed_without_those_that_order_or_point(
    pets: Dataset, client: Client
) -> None:
    names = [column["name"] for column in ask(client, "scores")["columns"]]
    assert "black" in names and "duplicate" in names
    assert not {"flow", "static", "dedup_seq", "duplicate_of", "hash_first"} & {*names}


def test_a_histogram_says_on_how_many_it_was_measured(pets: Dataset, client: Client) -> None:
    found = ask(client, "histogram", key="moving.0")
    assert (found["measured"], found["of"]) == (6, 7)
    place = found["edges"].index(0.5)
    assert (sum(found["all"][place:]), sum(found["all"])) == (4, 6)
    assert (sum(found["kept"][:place]), sum(found["kept"])) == (0, 4)
    assert (found["quantiles"]["0.0"], found["quantiles"]["1.0"]) == (0.1, 2.0)
    seconds = ask(client, "histogram", column="duplicate")
    assert (seconds["measured"], sum(seconds["all"])) == (7, 7)
    assert ask(client, "histogram", column="black") == {"measured": 0, "of": 7}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.5, {"kept": 4, "lost": 0, "come_back": 0, "to_go": 0} | UNTOUCHED),
        (0.25, {"kept": 4, "lost": 0, "come_back": 1, "to_go": 1} | UNTOUCHED),
        (
            0.2500001,
            {"kept": 4, "lost": 0, "come_back": 0, "to_go": 0} | UNTOUCHED,
        ),
        (0, {"kept": 4, "lost": 0, "come_back": 2, "to_go": 2} | UNTOUCHED),
        (1.5, {"kept": 1, "lost": 3, "come_back": 0, "to_go": 0} | UNTOUCHED),
    ],
)
def test_a_moved_threshold_tells_what_it_costs(
    pets: Dataset, client: Client, number: float, expected: dict[str, int]
) -> None:
    found = ask(client, "whatif", moves=f"moving.0:{number}", key="moving.0")
    assert found["clips"] == expected
    assert sum(found["bins"]) == expected["kept"] + expected["come_back"]


def test_the_command_runs_as_it_is_shown_and_the_snippet_says_the_same(
    pets: Dataset, client: Client
) -> None:
    found = ask(client, "whatif", moves="moving.0:0.25,moving.1:0.75", off="unique")
    words = shlex.split(found["command"])
    assert words[words.index("refilter") + 1 :] == [
        "pets", "--set", "unique.enabled=false",
        "--set", "moving.where=flow >= 0.25 AND static <= 0.75",
    ]  # fmt: skip
    assert "where: flow >= 0.25 AND static <= 0.75" in found["yaml"]
    assert "enabled: false" in found["yaml"]
    assert ask(client, "whatif")["command"] == ""


def test_a_filter_that_is_off_brings_back_what_it_dropped(pets: Dataset, client: Client) -> None:
    found = ask(client, "whatif", off="unique")["clips"]
    assert found == {
        "kept": 4,
        "lost": 0,
        "come_back": 1,
        "to_go": 1,
        "unmeasured": 0,
        "at_work": 0,
    }


def test_the_clips_that_change_and_those_nearest_to_the_threshold(
    pets: Dataset, client: Client
) -> None:
    found = ask(client, "changes", moves="moving.0:0.25", key="moving.0")
    assert [clip["clip_index"] for clip in found["come_back"]] == [1]
    assert found["lost"] == []
    assert [clip["value"] for clip in found["passes"]] == [0.25, 0.5, 0.5, 1.0, 2.0]
    assert [(clip["value"], clip["relpath"]) for clip in found["fails"]] == [(0.1, "a.mp4")]


def test_a_snapshot_is_of_its_moment_until_another_one_is_asked_for(
    rows: Rows, pets: Dataset, client: Client
) -> None:
    assert ask(client, "whatif")["clips"]["kept"] == 4
    rows.run("UPDATE clips SET status = 'failed' WHERE clip_index = 5")
    assert ask(client, "whatif")["clips"]["kept"] == 4
    ask(client, "scores", fresh=1)
    assert ask(client, "whatif")["clips"]["kept"] == 3
    rows.run("UPDATE datasets SET pipeline = replace(pipeline, '0.5 AND', '0.25 AND')")
    assert ask(client, "scores")["filters"][1]["thresholds"][0]["number"] == 0.25


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The columns of each pass over the clips."""
    found: list[list[str]] = []

    def counted(connection: Any, rows: Any, wanted: WantedRows) -> Any:
        found.append(list(wanted.columns))
        return read_columns(connection, rows, wanted)

    monkeypatch.setattr(scores, "read_columns", counted)
    return found


def test_histograms_of_other_columns_are_read_in_one_pass_whoever_asks(
    pets: Dataset, client: Client, passes: list[list[str]]
) -> None:
    names = [column["name"] for column in ask(client, "scores")["columns"]]
    with ThreadPoolExecutor(len(names)) as threads:
        found = list(threads.map(lambda name: ask(client, "histogram", column=name), names))
    assert [one["of"] for one in found] == [7] * len(names)
    assert [sorted(columns) for columns in passes] == [sorted(names)]


def test_columns_that_do_not_fit_in_memory_together_take_more_passes(
    pets: Dataset, client: Client, passes: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "VALUES_AT_ONCE", 14)  # two columns of seven clips
    names = [column["name"] for column in ask(client, "scores")["columns"]]
    for name in names:
        ask(client, "histogram", column=name)
    assert max(map(len, passes)) == 2
    assert sorted(name for columns in passes for name in columns) == sorted(names)


@pytest.mark.parametrize(
    "path",
    [
        "whatif?moves=moving.7:1",
        "whatif?moves=moving.0:nan",
        "whatif?moves=moving.0:inf",
        "whatif?moves=moving.0:1e300",
        "whatif?moves=moving.0",
        "whatif?moves=:",
        "whatif?moves=" + quote("moving.0:1);DROP TABLE clips"),
        "whatif?off=nothing",
        "whatif?key=nothing",
        "whatif?moves=" + "9" * 5000,
        "changes?key=nothing",
        "histogram",
        "histogram?key=moving.0&column=flow",
        "histogram?key=nothing",
        "histogram?column=path",
        "histogram?column=" + quote("flow; --"),
        "scores?fresh=2",
    ],
)
def test_wrong_arguments_are_400(pets: Dataset, client: Client, path: str) -> None:
    answer = client.get(f"/api/{path}")
    assert answer.status == 400, answer.body
    assert answer.json["error"]


def test_a_snapshot_that_went_wrong_says_so_once_and_is_then_taken_again(
    pets: Dataset, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Snapshot:
        raise NotANumber(column="flow", table="clips")

    with monkeypatch.context() as patched:
        patched.setattr(scores, "take_snapshot", broken)
        answer = client.get("/api/scores")
        assert (answer.status >= 400, "flow" in answer.json["error"]) == (True, True)
    assert [f["name"] for f in ask(client, "scores")["filters"]] == ["unique", "moving"]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No snapshot is taken until it is set."""
    opened = threading.Event()

    def slow(*arguments: Any) -> Snapshot:
        opened.wait(20)
        return take_snapshot(*arguments)

    monkeypatch.setattr(scores, "take_snapshot", slow)
    return opened


def test_what_waits_for_a_snapshot_keeps_no_thread(
    pets: Dataset, client: Client, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "WAIT", 20.0)
    with ThreadPoolExecutor(20) as threads:
        waiting = [threads.submit(ask, client, "whatif") for _ in range(20)]
        assert ask(client, "funnel")["totals"]["clips"] == 7
        gate.set()
        assert {one.result()["clips"]["kept"] for one in waiting} == {4}


def test_whoever_asks_too_early_is_told_how_much_was_read(
    pets: Dataset, client: Client, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "WAIT", 0.0)
    assert ask(client, "scores") == {"reading": 0}
    assert client.get("/api/whatif").status == 503
    gate.set()
    monkeypatch.setattr(scores, "WAIT", 20.0)
    assert [f["name"] for f in ask(client, "scores")["filters"]] == ["unique", "moving"]
