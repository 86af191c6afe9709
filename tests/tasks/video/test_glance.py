"""What headers say of how much there is to decode."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.tasks.video.glance import Glance, glance
from curate.tasks.video.probing import probe_video
from tests.media import draw, draw_bad, write_image


def test_a_header_says_what_probing_finds(tmp_path: Path) -> None:
    path = str(draw("closed", tmp_path).path)
    probed = probe_video(path)
    found = glance(path)
    assert found.frames == probed["num_frames"]
    assert found.seconds == pytest.approx(probed["duration"], rel=0.05)
    assert found.pixels == probed["num_frames"] * probed["resolution"]


def test_an_image_is_one_frame(tmp_path: Path) -> None:
    found = glance(str(write_image(tmp_path / "a.png")))
    assert found.frames == 1 and found.seconds == 0 and found.pixels > 0


def test_what_cannot_be_read_has_nothing_to_decode(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"no picture")
    paths = [draw_bad("empty", tmp_path), tmp_path / "b.png", tmp_path / "nowhere.mp4"]
    assert [glance(str(path)) for path in paths] == [Glance()] * 3
