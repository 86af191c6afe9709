"""A runner over the small catalog of stages, and the same catalog for workers that are processes of
their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from curate.worker import batch, datasets, loaded_stages
from curate.worker.runner import Runner
from tests.pipelines import CATALOG, Embed, Heads, Line, Score
from tests.worker.held import Held
from tests.worker.waits import Waits

STAGES = {
    "probe": "tests.pipelines:Probe",
    "split": "tests.pipelines:Split",
    "score": "tests.pipelines:Score",
    "held": "tests.worker.held:Held",
    "waits": "tests.worker.waits:Waits",
}


@pytest.fixture
def tests_stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process knows the stages of tests.pipelines."""
    for module in (datasets, loaded_stages):
        monkeypatch.setattr(module, "stages", lambda: CATALOG)
    datasets.pipeline_of.cache_clear()
    yield
    datasets.pipeline_of.cache_clear()


@pytest.fixture
def catalog(tests_stages: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same, without a cap on memory: this process runs other tests too."""
    monkeypatch.setattr(batch, "capped_memory", lambda options: nullcontext())
    yield
    Score.hook = Embed.hook = None
    Heads.seen = []


def run_all(line: Line, *stages: str) -> list[str]:
    """Run these stages, each until nothing of it is ready; returns the reports."""
    runner = Runner(line.settings, line.engine)
    reports = []
    for stage in stages:
        while report := runner.run_one(stage):
            reports.append(str(report))
    return reports


@pytest.fixture
def plugged(tests_stages: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stages of STAGES for this process, and by entry points for those that it starts; their
    folder of notes.
    """
    package = tmp_path / "plugin"
    info = package / "plugin-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    lines = [f"{name} = {place}" for name, place in STAGES.items()]
    (info / "entry_points.txt").write_text("\n".join(["[curate.stages]", *lines, ""]))
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{package}:{root}:{root / 'src'}")
    monkeypatch.setitem(CATALOG, "held", Held)
    monkeypatch.setitem(CATALOG, "waits", Waits)
    return package
