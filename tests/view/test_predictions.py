"""Values for the page Scores: what is known of columns, and clips by what happens to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.view import predictions
from curate.view.snapshot import ChangedFilters, Snapshot
from curate.view.state import ShownDataset
from tests.pipelines import Line
from tests.view.rows import make_rows
from tests.view.test_snapshot import snapshot_of


@pytest.fixture
def line(sqlite_url: str, home: Path) -> Line:
    """Rows everywhere."""
    return make_rows(sqlite_url, home)


@pytest.fixture
def snapshot(line: Line) -> Snapshot:
    """A snapshot of them."""
    return snapshot_of(line)


def shown(line: Line) -> ShownDataset:
    """The dataset of a line, as pages open it."""
    return ShownDataset(line.engine, line.dataset, line.pipeline)


def test_the_text_of_a_column_is_that_of_its_stage(snapshot: Snapshot) -> None:
    assert predictions.column_of(snapshot, "clip", "score").doc == "the clip's index"
    assert predictions.column_of(snapshot, "video", "num_frames").kind == "int"
    assert predictions.column_of(snapshot, "clip", "clip_index").kind == "int"


def test_a_filter_counts_rows_that_earlier_ones_let_through(snapshot: Snapshot) -> None:
    filters = {f["name"]: f for f in predictions.describe(snapshot)["filters"]}
    assert filters["long"]["level"] == "video"
    assert filters["first"]["came_in"] == filters["good"]["came_in"] - filters["good"]["dropped"]
    assert filters["unusual"]["others"] == ["other <> 0.25 OR score = 0"]


def test_nearest_clips_are_on_their_side_of_the_threshold(line: Line, snapshot: Snapshot) -> None:
    threshold = snapshot.thresholds["good.0"]
    found = predictions.nearest_clips(shown(line), snapshot, threshold, 0.5)
    passes, fails = ([clip["value"] for clip in found[side]] for side in ("passes", "fails"))
    assert passes == sorted(passes) and passes[0] == 0.5
    assert fails == sorted(fails, reverse=True) and fails[0] < 0.5
    assert (len(passes), len(fails)) == (predictions.NEAREST, predictions.NEAREST)


def test_of_a_threshold_of_videos_the_first_clips_are_shown(line: Line, snapshot: Snapshot) -> None:
    threshold = snapshot.thresholds["long.0"]
    found = predictions.nearest_clips(shown(line), snapshot, threshold, 5.0)
    near = [clip for side in found.values() for clip in side]
    assert near and {clip["clip_index"] for clip in near} == {0}
    assert all(clip["value"] >= 5 for clip in found["passes"])


def test_changed_clips_are_a_sample_of_those_that_change(line: Line, snapshot: Snapshot) -> None:
    off = {step.name for step in snapshot.pipeline.filters}
    predicted = snapshot.predict(ChangedFilters(off=off))
    found = predictions.changed_clips(shown(line), snapshot, predicted)
    assert len(found["come_back"]) == predictions.SAMPLE
    assert len(found["lost"]) == predicted["clip"].counts.lost < predictions.SAMPLE
    assert {clip["status"] for clip in found["come_back"]} == {"dropped"}
