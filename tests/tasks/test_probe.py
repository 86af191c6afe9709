"""The stage probe."""

from __future__ import annotations

from pathlib import Path

from curate.configs.settings import Settings
from curate.tasks.probe import Probe
from curate.tasks.stage import Context, Video
from tests.media import draw, write_image


def test_the_stage_takes_images_by_their_extension(tmp_path: Path) -> None:
    stage = Probe(Probe.Options(), Context(Settings(home=tmp_path)))
    paths = [draw("closed", tmp_path).path, write_image(tmp_path / "A.PNG")]
    videos = [Video(i, 1, str(path), path.name, {}) for i, path in enumerate(paths)]
    assert [o.scores["media_type"] for o in stage.run_batch(videos)] == ["video", "image"]
