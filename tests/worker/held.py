"""A stage on the queue `ascend` that loads MindSpore, notes what it does, and waits until a test
lets it go on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from curate.configs.schema import Queue
from curate.tasks.models import device
from curate.tasks.stage import Clip, Column, Field, Scorer, Scores, StageOptions


class Options(StageOptions):
    """Options of Held."""

    queue: Queue = Field("ascend", description="the Celery queue its tasks go to")
    folder: str = Field(description="folder of the notes, and of the file that lets it go on")
    load_seconds: float = Field(0, description="how long loading takes, the first time")


class Held(Scorer[Options]):
    """Twice the clip's index, computed by MindSpore on the CPU once the file `go` is there."""

    name = "held"
    columns = {"held": Column("float", "twice the clip's index", 0)}
    Options = Options

    def load(self) -> None:
        device.start("CPU")
        if not (Path(self.options.folder) / "notes").exists():
            time.sleep(self.options.load_seconds)

    def score(self, clip: Clip) -> Scores:
        folder = Path(self.options.folder)
        with (folder / "notes").open("a") as notes:
            notes.write(f"{os.getpid()} {clip.index}\n")
        while not (folder / "go").exists():
            time.sleep(0.02)
        doubled = device.mindspore().Tensor([float(clip.index)]) * 2
        return {"held": float(doubled.asnumpy()[0])}
