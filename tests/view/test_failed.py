"""What failed, and how to try again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.view.conftest import Client, Rows

EMPTY = {"status": "failed", "stage": "probe", "reason": "EmptyFile"}
MISMATCH = {"status": "failed", "stage": "cut", "reason": "CutMismatch"}


def fill(rows: Rows) -> list[int]:
    pets = rows.dataset("pets")
    first = rows.video(pets)
    for name in "xyz":
        rows.video(pets, f"{name}.mp4", error=f"/v/{name}.mp4 is empty. Copy it again", **EMPTY)
    advice = "Try again with: `curate retry DATASET --stage cut`"
    return [rows.clip(pets, first, i, error=advice, **MISMATCH) for i in range(2)]


def test_videos_and_clips_with_advice_and_command(rows: Rows, client: Client) -> None:
    fill(rows)
    videos, clips = client.get("/api/failed").json["kinds"]
    assert (videos["level"], videos["rows"], videos["error"]) == ("video", 3, "EmptyFile")
    assert videos["message"].endswith("Copy it again")
    home = f"curate --home {rows.settings.home}"
    assert videos["retry"] == f"{home} retry pets --stage probe --error EmptyFile"
    assert (clips["level"], clips["rows"]) == ("clip", 2)
    assert f"{home} retry pets --stage cut" in clips["message"]


def test_rows_of_one_kind_a_page_at_a_time(
    rows: Rows, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = fill(rows)
    monkeypatch.setattr("curate.view.failed.LIMIT", 2)

    def read(query: str) -> list[Any]:
        found: list[Any] = []
        after = 0
        while after is not None:
            page = client.get(f"/api/failed/rows?{query}&after={after}").json
            found += page["rows"]
            after = page["after"]
        return found

    videos = read("level=video&stage=probe&error=EmptyFile")
    assert [row["relpath"] for row in videos] == ["x.mp4", "y.mp4", "z.mp4"]
    found = read("level=clip&stage=cut&error=CutMismatch")
    assert [row["id"] for row in found] == clips
    assert "retry pets" in found[0]["message"]
    assert read("level=clip&stage=cut&error=Other") == []


def test_a_failure_without_a_class_is_tried_again_with_its_whole_stage(
    rows: Rows, client: Client
) -> None:
    pets = rows.dataset("pets")
    values = {"status": "failed", "stage": "cut", "reason": None}
    clip = rows.clip(pets, rows.video(pets), **values)
    (kind,) = client.get("/api/failed").json["kinds"]
    assert kind["retry"].endswith("retry pets --stage cut")
    back = client.get(f"/api/clip?id={clip}").json["commands"]["back"]
    assert back.endswith("retry pets --stage cut")


def test_nothing_failed(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    assert client.get("/api/failed").json == {"kinds": []}


@pytest.mark.parametrize("query", ["level=x", "after=-1", "after=x", "stage=" + "x" * 201])
def test_wrong_arguments(query: str, guarded: Client) -> None:
    assert guarded.get(f"/api/failed/rows?{query}").status == 400
