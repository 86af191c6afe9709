"""The stage `multi_caption`: several captioners of one decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curate.configs.errors import CaptionServer, ConfigError
from curate.tasks.multi_caption import MultiCaption, MultiCaptionOptions
from curate.tasks.video.frame_picker import pick_frames
from tests.caption_server import CaptionServer as Misbehaving
from tests.pipelines import CATALOG, Line
from tests.tasks.test_openai_windows import captioning, server
from tests.worker.conftest import run_all

__all__ = ["server"]

ONE = {"stage": "openai", "model": "m"}


def test_captioners_are_checked_and_kept_with_all_their_options() -> None:
    windows = {"seconds": 2}
    two = [{**ONE, "windows": {"frames": 9}}, {**ONE, "model": "n", "fields": ["short"]}]
    options = MultiCaptionOptions(captioners=two, windows=windows)
    assert options.queue == "cpu" and options.fields == ("short",)
    (_, first), (_, second) = options.members
    assert (first.windows and first.windows.frames, second.windows == options.windows) == (9, True)
    assert MultiCaptionOptions(**options.model_dump(mode="json")) == options
    local = MultiCaptionOptions(captioners=[ONE, {"stage": "pllava"}])
    assert local.queue == "ascend"
    assert [need.kind for need in MultiCaption.models(local)] == ["pllava"]
    off = MultiCaptionOptions(captioners=[{**ONE, "enabled": False}])
    with pytest.raises(ConfigError, match="must name one"):
        MultiCaption.check(off)
    with pytest.raises(ConfigError, match="needs the server's name of a model"):
        MultiCaption.check(MultiCaptionOptions(captioners=[{"stage": "openai"}]))
    with pytest.raises(ConfigError, match="max_cost needs prices"):
        MultiCaption.check(MultiCaptionOptions(captioners=[ONE], max_cost=1))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"captioners": ["openai"]}, "needs stage"),
        ({"captioners": [{"stage": "openia"}]}, "no captioner; did you mean openai"),
        ({"captioners": [{"stage": "motion"}]}, "motion is no captioner"),
        ({"captioners": [{"stage": "multi_caption"}]}, "multi_caption is no captioner"),
        ({"captioners": [{**ONE, "frame": 3}]}, "openai: frame"),
        ({"captioners": [ONE, {**ONE, "frames": 3}]}, "one twice"),
        ({"captioners": [{**ONE, "offline": True}]}, "a stage of its own"),
        ({"captioners": [{**ONE, "max_cost": 1}]}, "option of the stage multi_caption"),
        ({"captioners": [{"stage": "pllava"}], "queue": "cpu"}, "queue must be ascend"),
    ],
)
def test_captioners_that_cannot_share_a_stage_are_refused(options: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        MultiCaptionOptions(**options)


@pytest.fixture(autouse=True)
def in_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "multi_caption", MultiCaption)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that were decoded."""
    paths: list[str] = []

    def counted(path: str, *others: Any) -> Any:
        paths.append(path)
        return pick_frames(path, *others)

    monkeypatch.setattr("curate.tasks.video.frame_picker.pick_frames", counted)
    return paths


def grouped(server: Misbehaving, url: str, home: Path, clips: int, **options: Any) -> Line:
    """Clips of three seconds that wait to be captioned in their seconds and as a whole."""
    own = {"model": "m", "url": server.url, "wait": 0.001, "tries": 1, "frames": 2}
    parts = {"stage": "openai", **own, "prompt": "what happens?", "windows": {"seconds": 1}}
    whole = {"stage": "openai", **own, "model": "n", "prompt": "in short?", "frames": 1}
    step = {"stage": "multi_caption", "captioners": [parts, whole], **options}
    return captioning(server, url, home, clips, step=step)


def test_several_captioners_write_of_frames_of_one_decode(
    server: Misbehaving, database_url: str, home: Path, opened: list[str]
) -> None:
    line = grouped(server, database_url, home, 3, pass_size=2)
    run_all(line, "multi_caption")
    assert opened == [str(home / f"{n}.mp4") for n in range(3)]
    assert len(server.bodies) == 12
    joined = " ".join(f"Clip {n} runs." for n in range(3))
    found = line.rows("SELECT model, prompt, text_raw FROM captions WHERE clip_id = 1 ORDER BY id")
    windows = [("m", "what happens?", f"Clip {n} runs.") for n in range(3)]
    assert found == [
        *windows, ("m", "what happens?", joined), ("n", "in short?", "Clip 1 runs."),
    ]  # fmt: skip
    assert line.rows("SELECT text, status FROM clips WHERE id = 1") == [(joined, "active")]
    spent = line.rows("SELECT stage, requests FROM spending")
    assert spent == [("multi_caption", 12)]
    run_all(line, "clean_text")
    assert line.rows("SELECT text, text_model, status FROM clips WHERE id = 1") == [
        (joined, "m", "kept")
    ]


def test_a_clip_fails_with_any_captioner_and_no_other(
    server: Misbehaving, sqlite_url: str, home: Path
) -> None:
    server.deeds = {3: ["refusal"]}
    line = grouped(server, sqlite_url, home, 3)
    (home / "2.mp4").unlink()
    run_all(line, "multi_caption")
    assert line.rows("SELECT status, reason FROM clips ORDER BY id") == [
        ("active", None), ("failed", "CaptionRefused"), ("failed", "Unreadable"),
    ]  # fmt: skip
    assert line.rows("SELECT DISTINCT clip_id FROM captions") == [(1,)]


def test_a_server_that_denies_fails_no_clip_and_nothing_is_asked_twice(
    server: Misbehaving, database_url: str, home: Path
) -> None:
    server.deeds = {2: ["status 401", "good"]}
    line = grouped(server, database_url, home, 1)
    with pytest.raises(CaptionServer, match="401"):
        run_all(line, "multi_caption")
    assert line.rows("SELECT status FROM clips") == [("active",)]
    run_all(line, "multi_caption")
    assert line.rows("SELECT count(*) FROM captions") == [(5,)]
    assert server.asked == {0: 1, 1: 2, 2: 2}  # 1: of a window, and of the clip
