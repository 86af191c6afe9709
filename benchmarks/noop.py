"""Stages that do nothing, for benchmarks/dispatch.py; workers find them as they find anybody's: by
entry points.
"""

from __future__ import annotations

from pathlib import Path

from curate.tasks.stage import Clip, Column, Scorer, Scores, StageOptions


class _Noop(Scorer[StageOptions]):
    def score(self, clip: Clip) -> Scores:
        """A number, so that saving has something to write."""
        return {self.name: clip.index}


CLASSES = {
    f"noop{n}": type(
        f"Noop{n}",
        (_Noop,),
        {"name": f"noop{n}", "columns": {f"noop{n}": Column("int", "the index")}},
    )
    for n in range(1, 10)
}
globals().update({cls.__name__: cls for cls in CLASSES.values()})


def plugin(folder: Path) -> Path:
    """A folder that brings the stages into every process whose PYTHONPATH names it."""
    info = folder / "noop-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noop\nVersion: 1\n")
    lines = [f"{name} = benchmarks.noop:{cls.__name__}" for name, cls in CLASSES.items()]
    (info / "entry_points.txt").write_text("\n".join(["[curate.stages]", *lines, ""]))
    return folder
