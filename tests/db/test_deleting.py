"""Datasets are deleted a few videos at a time, and not while rows are at work."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import datasets, deleting
from curate.db.deleting import (
    clips_by_index,
    delete_clips,
    delete_dataset,
    holds_sources,
    known_sources,
    mark_deleting,
    video_groups,
    videos_by_stem,
)
from curate.db.home import set_home
from curate.db.reports.overview import condition, view_dataset
from curate.db.save.batch import Outcomes, save
from curate.db.schema import metadata
from tests.pipelines import Found, Line, writer


def test_rows_at_work_keep_a_dataset_from_being_deleted(line: Line) -> None:
    line.enqueue("a", "b")
    held = line.held("probe")
    assert mark_deleting(line.engine, line.dataset) == len(held.rows)
    assert datasets.all_datasets(line.engine)[0].state == "running"
    line.expire("me")
    assert mark_deleting(line.engine, line.dataset) == 0
    assert condition(view_dataset(line.engine, line.dataset.id), False) == "deleting"
    assert line.claim("probe") is None


def test_groups_are_deleted_as_they_come_and_nothing_is_left(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "VIDEOS_AT_ONCE", 2)
    line.enqueue("a", "b", "c")
    sizes = []
    for ids in video_groups(line.engine, line.dataset.id):
        delete_clips(line.engine, ids)
        assert line.rows("SELECT count(*) FROM videos") == [(3,)]
        sizes.append(len(ids))
    delete_dataset(line.engine, line.dataset.id)
    assert sizes == [2, 1]
    for name in metadata.tables:
        assert line.rows(f"SELECT count(*) FROM {name}") == [(0,)], name


def test_what_is_found_in_a_dataset_that_was_deleted_is_not_saved(line: Line) -> None:
    line.enqueue("a", "b")
    held = line.held("probe")
    delete_dataset(line.engine, line.dataset.id)
    assert save(line.engine, held, Outcomes(), writer()).lost == len(held.rows)


def test_sources_are_known_whatever_dataset_they_are_of(line: Line) -> None:
    line.enqueue("a")
    ((path,),) = line.rows("SELECT path FROM videos")
    assert known_sources(line.engine, [path, "/no/such"]) == {path}


@pytest.mark.parametrize("stored", ["/home/me/v/a.mp4", "./v/a.mp4"])
def test_a_source_below_the_home_is_known_however_it_is_stored(line: Line, stored: str) -> None:
    line.enqueue("a")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET path = :path"), {"path": stored})
    set_home(line.engine, "/home/me")
    assert known_sources(line.engine, ["/home/me/v/a.mp4"]) == {"/home/me/v/a.mp4"}
    again = [Found("/home/me/v/a.mp4")]
    counts = datasets.enqueue(line.engine, line.dataset, again, line.pipeline)
    assert (counts.new, counts.found) == (0, 1)


def test_a_link_to_a_source_is_one(line: Line, tmp_path: Path) -> None:
    line.enqueue("a")
    (tmp_path / "link").symlink_to("/v")
    assert known_sources(line.engine, [f"{tmp_path}/link/a"]) == {f"{tmp_path}/link/a"}


@pytest.mark.parametrize(
    ("folder", "holds"),
    [("/v", True), ("/", True), ("/v/a", True), ("/v/b", False), ("/w", False), ("s3://v", False)],
)
def test_a_folder_that_holds_sources(line: Line, folder: str, holds: bool) -> None:
    line.enqueue("a")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE datasets SET root = '/table'"))
    assert holds_sources(line.engine, folder.rstrip("/")) == holds
    assert holds_sources(line.engine, "/table")
    assert not holds_sources(line.engine, "/table/v")


def test_clips_are_found_by_video_and_index(line: Line) -> None:
    line.put_clips(3, "score")
    ((video, index),) = line.rows("SELECT video_id, clip_index FROM clips LIMIT 1")
    found = clips_by_index(line.engine, [(video, index), (video, 99)])
    assert list(found) == [(video, index)]
    assert found[video, index][1] is False
    stems = dict(line.rows("SELECT clip_stem, id FROM videos"))
    assert videos_by_stem(line.engine, line.dataset.id, [*stems, "none"]) == stems
