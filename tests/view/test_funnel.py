"""The page Funnel shows what `curate filter` and `curate status` say, and the reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.db.reports.funnel import funnel_rows
from curate.view import funnel
from curate.view.funnel import count_skipped
from tests.view.conftest import Client, Rows, home_of


def test_the_rows_are_those_of_the_funnel_with_their_reasons(rows: Rows, client: Client) -> None:
    dataset = rows.dataset()
    shown = client.home.open("pets")
    video = rows.video(dataset)
    rows.video(dataset, "b.mp4", stage="probe", status="failed", reason="Unreadable")
    short = {"stage": "split", "status": "dropped", "reason": "no_scene_long_enough"}
    rows.video(dataset, "c.mp4", **short)
    rows.clip(dataset, video, 0, duplicate=0, flow=1.0, static=0.0)
    rows.clip(dataset, video, 1, duplicate=1, stage="motion", status="dropped", reason="unique")
    found = client.get("/api/funnel").json
    reasons = {row["step"]: row.pop("reasons") for row in found["rows"]}
    assert found["rows"] == funnel_rows(rows.engine, dataset.id, shown.pipeline)
    assert reasons["probe"] == [{"status": "failed", "reason": "Unreadable", "rows": 1}]
    assert reasons["split"][0]["reason"] == "no_scene_long_enough"
    assert reasons["unique"] == []
    assert found["totals"] == {
        "videos": 3, "clips": 2, "kept": 1, "dropped": 2, "failed": 1, "active": 0,
    }  # fmt: skip


def test_files_that_were_skipped_are_counted_in_the_folder(rows: Rows, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "b.txt", "c.txt", "d"):
        (folder / name).write_bytes(b"")
    rows.dataset()
    rows.run("UPDATE datasets SET root = :root", root=str(folder))
    home = home_of(rows.settings)
    found = count_skipped(home, "pets")
    assert found == {"skipped": {".txt": 2, "": 1}, "whole": True, "why": ""}
    rows.run("UPDATE datasets SET root = 's3://bucket/in'")
    assert count_skipped(home, "pets")["whole"] is False
    home.engine.dispose()


def test_a_search_that_takes_too_long_says_so(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/a.txt", "in/below/b.txt"):  # no video, whose finding would end it too
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    rows.dataset()
    rows.run("UPDATE datasets SET root = :root", root=str(tmp_path / "in"))
    monkeypatch.setattr(funnel, "LONGEST_SEARCH", 0.0)
    home = home_of(rows.settings)
    found = count_skipped(home, "pets")
    home.engine.dispose()
    assert found == {
        "skipped": {".txt": 1}, "whole": False, "why": "the search was stopped after 0 s"
    }  # fmt: skip


def test_an_empty_dataset_has_a_funnel_of_zeros(rows: Rows, client: Client) -> None:
    rows.dataset()
    found = client.get("/api/funnel").json
    assert {row["came_in"] for row in found["rows"]} == {0}
    assert client.get("/api/scores").json["filters"][1]["came_in"] == 0
    assert client.get("/api/whatif?moves=moving.0:3").json["clips"]["lost"] == 0
