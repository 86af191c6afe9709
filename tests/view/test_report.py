"""The report of one file: its numbers are those of the page, and nothing in it can act."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curate.tasks.video.jpeg import JpegList
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples
from curate.view import report
from curate.view.report import sample, stops_of, write_report
from curate.view.snapshot import ChangedFilters
from curate.view.state import Home
from tests.view.conftest import Rows, home_of
from tests.view.rows import make_rows
from tests.view.test_snapshot import snapshot_of

HOSTILE = "</script><script>alert(1)</script>\u202e.mp4"


@pytest.fixture
def home(rows: Rows) -> Home:
    """A dataset of a video with a hostile name and of four clips, one of them dropped."""
    dataset = rows.dataset()
    video = rows.video(dataset, HOSTILE)
    for index, flow in enumerate((0.25, 0.5, 1.0, 2.0)):
        low = {"stage": "cut", "status": "dropped", "reason": "moving"} if flow < 0.5 else {}
        rows.clip(dataset, video, index, duplicate=0, flow=flow, static=0.25, **low)
    picture = np.full((90, 160, 3), 128, np.uint8)
    jpegs = JpegList()
    shown = jpegs.add(0.0, cv2.imencode(".jpg", picture)[1].tobytes())
    measures = Measures(4.0, [shown], [0], shown, [], [])
    with writing_samples(rows.settings.samples, video, "1") as writer:
        for index in range(4):
            writer.write(index, measures, jpegs)
    return home_of(rows.settings)


def data_of(page: str) -> Any:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(found)


def test_it_holds_all_numbers_and_a_picture_of_each_clip(home: Home, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    target = tmp_path / "out" / "report.html"
    read: list[int] = []
    written = write_report(home, target, lambda done, of: told.append((done, of)), read.append)
    assert read == [1, 4], "one video, then four clips"
    assert written == {"clips": 4, "of": 4, "bytes": target.stat().st_size}
    assert told[-1][0] == told[-1][1] == len(told)
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]
    data = data_of(target.read_text())
    assert data["stops"]["moving.0"] == [0.25, 0.5, 1.0, 2.0]
    kept = [answer["clips"]["kept"] for answer in data["moved"]["moving.0"]]
    back = [answer["clips"]["come_back"] for answer in data["moved"]["moving.0"]]
    assert (kept, back) == ([3, 3, 2, 1], [1, 0, 0, 0])
    assert "flow >= 0.25" in data["moved"]["moving.0"][0]["command"]
    assert data["tiles"][0]["thresholds"]["moving.0"] == {
        "value": 0.25, "met": True, "passing": True, "failing": False,
    }  # fmt: skip
    assert all(len(pictures) == 3 for pictures in data["pictures"].values())
    assert data["pictures"]["1"][0].startswith("data:image/jpeg;base64,")
    assert [tile["values"]["flow"] for tile in data["tiles"]] == [0.25, 0.5, 1.0, 2.0]
    assert ["flow", 0.25] in data["pages_of_clips"]["1"]["scores"]
    assert data["declared"]["flow"]["stage"] == "motion"


def test_scripts_are_named_by_their_hashes_and_rows_write_none(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write_report(home, target)
    page = target.read_text()
    assert HOSTILE not in page and data_of(page)["tiles"][0]["relpath"] == HOSTILE
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(scripts) >= 5 and len(styles) == 3
    for text in (*scripts, *styles):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert not re.findall(r"(?:src|href)=\"/", page), "nothing is asked of a server"


def test_nothing_is_left_of_a_report_that_was_interrupted(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("older")

    def stop(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(home, target, stop)
    assert (target.read_text(), len(list(tmp_path.glob("*.html")))) == ("older", 1)


def test_of_many_clips_those_near_a_threshold_are_in_the_sample(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST", 60)
    snapshot = snapshot_of(make_rows(sqlite_url, tmp_path))
    places = sample(snapshot)
    assert len(places) == len({*places.tolist()}) == 60
    values = snapshot.values(snapshot.thresholds["good.0"])[places]
    assert np.count_nonzero(values == -0.25) >= 1


def test_each_stop_counts_as_a_refilter_to_it(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "STOPS", 8)
    snapshot = snapshot_of(make_rows(sqlite_url, tmp_path))
    for key, threshold in snapshot.thresholds.items():
        stops = stops_of(snapshot, threshold)
        assert threshold.clause.number in stops and len(stops) <= 9
        places = np.arange(len(snapshot.rows["clip"]))
        fates = report.fates_of(snapshot, places)
        for number in stops:
            goes_on = snapshot.predict(ChangedFilters({key: number}))["clip"].goes_on
            assert [_after(fate["thresholds"][key], threshold, number) for fate in fates] == (
                goes_on.tolist()
            )


def _after(fate: Any, threshold: Any, number: float) -> bool:
    """As report.js tells what becomes of a clip."""
    value = np.array([np.nan if fate["value"] is None else fate["value"]])
    passes = bool(threshold.passes(value, number)[0])
    return bool(fate["passing"] if passes else fate["failing"])


def test_it_says_that_a_search_by_text_is_not_in_it(home: Home, tmp_path: Path) -> None:
    write_report(home, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "to search by text, see the dataset with curate view" in page
    data = data_of(page)
    assert "search" not in data["pages"]
    assert data["home"]["search_lacks"] is None
