"""The page of one clip."""

from __future__ import annotations

import json
from typing import Any

import pytest

from curate.db.schema import caption_fields, captions, option_scores, rewrites
from curate.view import clip as module
from tests.view.conftest import Client, Rows
from tests.view.test_media import write_samples


def page(client: Client, clip: int) -> dict[str, Any]:
    answer = client.get(f"/api/clip?id={clip}")
    assert answer.status == 200, answer.body
    return dict(answer.json)


def test_scores_in_the_order_of_the_stages(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    clip = rows.clip(pets, rows.video(pets), flow=0.25, duplicate=0)
    found = page(client, clip)["scores"]
    names = [score["name"] for score in found]
    assert names.index("duplicate") < names.index("flow")
    flow = next(score for score in found if score["name"] == "flow")
    assert (flow["stage"], flow["value"], flow["better"]) == ("motion", 0.25, "higher")
    assert next(score["value"] for score in found if score["name"] == "static") is None


def test_a_cut_clip_is_played_from_its_file(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    clip = rows.clip(pets, rows.video(pets, codec="h264"), path="/c/a_scene-0.mp4")
    assert page(client, clip)["film"]["clip"] == "video/mp4"


def test_a_dropped_clip_from_its_source(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    video = rows.video(pets, codec="h264", time_jumps=0)
    clip = rows.clip(pets, video, start_seconds=1.5, end_seconds=3.0)
    film = page(client, clip)["film"]
    assert (film["clip"], film["from"], film["to"]) == ("", 1.5, 3.0)
    assert film["source"].startswith("video/mp4")


def test_no_source_that_no_browser_plays_or_whose_clock_jumps(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    for name, codec, jumps in (("a.avi", "mpeg4", 0), ("b.mp4", "h264", 2)):
        clip = rows.clip(pets, rows.video(pets, name, codec=codec, time_jumps=jumps))
        assert page(client, clip)["film"]["source"] == ""


def test_pictures_by_their_seconds_or_why_there_are_none(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    first, second = rows.video(pets, "a.mp4"), rows.video(pets, "b.mp4")
    write_samples(rows.settings.samples, first)
    assert page(client, rows.clip(pets, first))["pictures"]["seconds"] == [0.0, 2.0, 3.9]
    error = page(client, rows.clip(pets, second))["pictures"]["error"]
    assert "retry pets --error SamplesMissing" in error


def test_every_caption_newest_first_and_each_option(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    clip = rows.clip(pets, rows.video(pets))
    row = {"revision": "r", "prompt": "p", "created_at": 1.0, "clip_id": clip}
    hostile = "</script><script>alert(1)</script>\u202e"
    rows.insert(captions, {**row, "model": "m", "text_raw": "first", "match": 0.5},
                {**row, "model": "n", "text_raw": hostile, "match": None})  # fmt: skip
    text = {"variant": "v", "text": hostile, "drift": 0.5, "added": json.dumps([hostile])}
    rows.insert(rewrites, {**row, "model": "w", **text})
    rows.insert(caption_fields, {"caption_id": 1, "field": "mood", "text": hostile})
    scored = {"clip_id": clip, "model": "c", "revision": "r", "prompt": "a photo of {}"}
    rows.insert(option_scores, {**scored, "option": "cat", "score": 0.1},
                {**scored, "option": "dog", "score": 0.9})  # fmt: skip
    answer = client.get(f"/api/clip?id={clip}")
    assert b"<" not in answer.body
    found = answer.json
    assert [(c["text_raw"], c["match"]) for c in found["captions"]] == [
        (hostile, None), ("first", 0.5),
    ]  # fmt: skip
    assert [c["fields"] for c in found["captions"]] == [{}, {"mood": hostile}]
    assert [(r["variant"], r["text"]) for r in found["rewrites"]] == [("v", hostile)]
    assert [o["option"] for o in found["options"]] == ["dog", "cat"]


def test_duplicates_with_distance_and_what_differs(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    original = rows.clip(pets, rows.video(pets, "a.mp4"), width=640, duplicate=0)
    copy = rows.clip(
        pets, rows.video(pets, "b.mp4"), width=320, duplicate=1, duplicate_of=original,
        duplicate_distance=3, status="dropped", reason="unique", stage="motion",
    )  # fmt: skip
    (of_copy,) = page(client, copy)["duplicates"]
    assert (of_copy["card"]["id"], of_copy["distance"], of_copy["relation"]) == (
        original, 3, "original",
    )  # fmt: skip
    assert {"name": "width", "this": 320, "other": 640} in of_copy["differs"]
    assert {"name": "reason", "this": "unique", "other": None} in of_copy["differs"]
    assert not any(d["name"] == "fps" for d in of_copy["differs"]), "what is equal is left out"
    (of_original,) = page(client, original)["duplicates"]
    assert (of_original["card"]["id"], of_original["relation"]) == (copy, "copy")
    assert of_original["distance"] == 3


def test_a_clip_of_another_dataset_is_shown_by_its_own_pipeline(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    other = rows.dataset("other", ("probe", "split", "cut"))
    found = page(client, rows.clip(other, rows.video(other)))
    assert found["dataset"] == "other"
    assert not any(score["name"] == "flow" for score in found["scores"])


def test_commands_run_as_printed(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    clip = rows.clip(pets, rows.video(pets))
    commands = page(client, clip)["commands"]
    home = rows.settings.home
    assert commands["drop"] == f"curate --home {home} pick drop {clip} --dataset pets"


def test_its_ledger_and_the_command_that_brings_it_back(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    values = {"status": "dropped", "reason": "moving", "stage": "cut", "duplicate": 0}
    clip = rows.clip(pets, rows.video(pets), flow=0.25, static=0.125, **values)
    found = page(client, clip)
    unique, moving = found["ledger"]
    assert (unique["verdict"], moving["verdict"]) == ("passes", "fails")
    assert [(c["values"], c["verdict"]) for c in moving["clauses"]] == [
        ({"flow": 0.25}, "fails"), ({"static": 0.125}, "passes"),
    ]  # fmt: skip
    assert "refilter pets --set" in found["commands"]["back"]
    assert "flow >= 0.25" in found["commands"]["back"]


def test_a_pick_stands_first_in_the_ledger(rows: Rows, client: Client) -> None:
    pets = rows.dataset("pets")
    values = {"status": "dropped", "reason": "picked", "picked": "drop", "duplicate": 0}
    clip = rows.clip(pets, rows.video(pets), flow=2.0, static=0.0, **values)
    found = page(client, clip)
    assert (found["ledger"][0]["filter"], found["ledger"][0]["verdict"]) == ("picked", "fails")
    assert found["commands"]["back"].endswith(f"pick undo {clip} --dataset pets")


def test_a_kept_clip_needs_no_way_back_and_a_failed_one_is_tried_again(
    rows: Rows, client: Client
) -> None:
    pets = rows.dataset("pets")
    video = rows.video(pets)
    assert page(client, rows.clip(pets, video))["commands"]["back"] is None
    values = {"status": "failed", "stage": "cut", "reason": "CutMismatch"}
    back = page(client, rows.clip(pets, video, 1, **values))["commands"]["back"]
    assert back.endswith("retry pets --stage cut --error CutMismatch")


def test_secrets_of_urls_are_shown_nowhere(rows: Rows, client: Client) -> None:
    url = "s3://bucket/a.mp4?X-Amz-Signature=SECRET"
    named = {"filter": "named", "where": "path IS NULL OR path <> 'x'"}
    pets = rows.dataset(steps=("probe", "split", "cut", named))
    video = rows.video(pets, path=url, relpath=url)
    ended = {"status": "failed", "stage": "cut", "reason": "Unreadable", "error": f"{url} is gone"}
    clip = rows.clip(pets, video, **ended)
    rows.clip(pets, video, 1, path=url)
    rows.run("UPDATE datasets SET root = :url", url=url)
    failed = "failed/rows?level=clip&stage=cut&error=Unreadable"
    for path in (f"clip?id={clip}", f"clip?id={clip + 1}", "clips", "failed", failed, "home"):
        answer = client.get(f"/api/{path}")
        assert answer.status == 200 and b"Signature=***" in answer.body, path
        assert b"SECRET" not in answer.body, path


@pytest.mark.parametrize(
    "step", ["cards", "_values", "_pictures", "texts_of", "ledger", "way_back", "_duplicates"]
)
def test_a_clip_that_is_deleted_while_its_page_is_read_is_404(
    step: str, rows: Rows, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pets = rows.dataset("pets")
    original = rows.clip(pets, rows.video(pets, "a.mp4"), duplicate=0)
    copy = rows.clip(pets, rows.video(pets, "b.mp4"), duplicate=1, duplicate_of=original)
    read = getattr(module, step)

    def late(*arguments: Any) -> Any:
        rows.run("DELETE FROM clips WHERE id = :id", id=copy)
        return read(*arguments)

    monkeypatch.setattr(module, step, late)
    assert client.get(f"/api/clip?id={copy}").status in (200, 404)
    assert client.get(f"/api/clip?id={copy}").status == 404


def test_a_clip_that_is_not_there(rows: Rows, client: Client) -> None:
    rows.dataset("pets")
    assert client.get("/api/clip?id=7").status == 404
    for wrong in ("", "0", "-1", "x", "1.0", "9" * 30):
        assert client.get(f"/api/clip?id={wrong}").status == 400
