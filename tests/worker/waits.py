"""A stage on the queue `cpu` that waits until a test lets it go on."""

from __future__ import annotations

import time
from pathlib import Path

from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions
from curate.tasks.storage.part_files import part_name


class Options(StageOptions):
    """Options of Waits."""

    folder: str = Field(
        description="folder of a file that says it has begun, and of one that lets it go on"
    )


class Waits(Scorer[Options]):
    """Measures nothing, once the file `go` is there; meanwhile it writes a temporary file."""

    name = "waits"
    Options = Options

    def score(self, clip: Clip) -> Scores:
        folder = Path(self.options.folder)
        part = Path(self.context.settings.clips) / part_name()
        part.parent.mkdir(exist_ok=True)
        part.touch()
        (folder / "begun").touch()
        while not (folder / "go").exists():
            time.sleep(0.02)
        part.unlink()
        return {}
