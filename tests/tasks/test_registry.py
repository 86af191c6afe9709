"""The files of tasks/ are the stages, in their order; a scorer is added by one file."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import curate.tasks
from curate.cli.main import call
from curate.configs.settings import Settings
from curate.db.schema import videos
from curate.tasks import registry
from curate.tasks.registry import (
    add_default_steps,
    stages,
    stages_defined_in,
    stages_in_order,
)
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, Video
from tests.media import draw

ROOT = Path(__file__).parents[2]
SUPPORT = {"__init__", "registry", "stage"}
FILES = sorted(p.stem for p in (ROOT / "tasks").glob("*.py") if p.stem not in SUPPORT)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_tasks_is_the_stage_of_its_name(name: str) -> None:
    module = importlib.import_module(f"curate.tasks.{name}")
    assert [stage.name for stage in stages_defined_in(module)] == [name]


def test_every_stage_has_its_file() -> None:
    ours = {n for n, stage in stages().items() if stage.__module__.startswith("curate.")}
    assert ours == set(FILES)


LAZY = """
import json, sys
from curate.tasks.registry import stages_of
found = stages_of([{"stage": "probe"}, {"filter": "sharp"}, {"stage": NAME}])
print(json.dumps([sorted(found), sorted(m for m in sys.modules if m.startswith("curate.tasks."))]))
"""


def test_a_command_imports_the_stages_that_it_needs() -> None:
    def imported(name: str) -> tuple[list[str], list[str]]:
        script = LAZY.replace("NAME", repr(name))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        names, modules = json.loads(done.stdout)
        return names, modules

    names, modules = imported("motion")
    assert names == ["motion", "probe"]
    assert "curate.tasks.ocr" not in modules
    names, _ = imported("of_another_version")
    assert "ocr" in names, "all, so that a name can be suggested"


@pytest.fixture
def sharpness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the scorer that docs/adding-a-scorer.md shows, saved as it says in tasks/."""
    page = (ROOT / "docs" / "adding-a-scorer.md").read_text(encoding="utf-8")
    example = re.search(r"Save this as `tasks/(\w+)\.py`:\n\n```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    name, code = example.groups()
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    # a folder of its own counts as part of tasks/, so that other tests never see the file
    monkeypatch.setattr(curate.tasks, "__path__", [*curate.tasks.__path__, str(tmp_path)])
    registry.stages.cache_clear()
    yield name
    registry.stages.cache_clear()
    sys.modules.pop(f"curate.tasks.{name}", None)


def test_the_documented_scorer_is_listed_with_its_options_and_columns(
    sharpness: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["stages", sharpness]) == 0
    shown = capsys.readouterr().out
    assert "Mean gradient magnitude" in shown
    assert ">= 1, <= 9" in shown and "frames looked at" in shown
    assert "gray levels a pixel" in shown


def test_the_documented_scorer_measures_a_clip(sharpness: str, tmp_path: Path) -> None:
    context = Context(Settings(home=tmp_path))
    path = draw("closed", tmp_path).path
    video = Video(1, 1, str(path), path.name, {})
    new = Split(Split.Options(min_seconds=0.0), context).run(video).clips[0]
    samples = context.settings.samples
    clip = Clip(1, 1, 0, video, new.start_pts, new.end_pts, Fraction(1, 24), new.scores, samples)
    stage = stages()[sharpness]
    scores = stage(stage.Options(), context).run(clip).scores
    assert set(scores) == set(stage.columns)
    assert 0 < float(scores[sharpness] or 0) < 255 and np.isfinite(float(scores[sharpness] or 0))


def test_every_stage_has_one_position_and_the_last_one_is_last() -> None:
    names = [stage.name for stage in stages_in_order()]
    assert sorted(names) == sorted(stages())
    assert names[:3] == ["probe", "split", "dedup"]
    assert [stage.name for stage in stages_in_order() if stage.comes_last] == names[-1:]


def test_a_default_step_joins_once_before_the_last_stage() -> None:
    class Joining(stages()["motion"]):  # type: ignore[misc]
        name = "joining"
        default_step = True

    catalog = {**stages(), "joining": Joining}
    steps = [{"stage": "probe"}, {"stage": "cut", "crf": 18}, {"filter": "f", "where": "a"}]
    joined = add_default_steps(steps, catalog)
    assert joined == [steps[0], {"stage": "joining"}, *steps[1:]]
    assert add_default_steps(joined, catalog) == joined
    assert add_default_steps(steps[:1], catalog) == [steps[0], {"stage": "joining"}]


def test_a_stage_of_a_later_form_has_a_column_that_tells_it() -> None:
    for name, stage in stages().items():
        if stage.form > 1:
            written = videos.c.keys() if stage.level == "video" else stage.columns
            assert f"{name}_form" in written
