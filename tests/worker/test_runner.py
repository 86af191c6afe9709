"""The runner chooses the stage and the dataset of the next batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import PackageMissing, ServiceError
from curate.tasks.stage import Clip
from curate.worker.runner import Runner
from tests.pipelines import Line, Score, make_line
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score", "good: score >= 1"])


def test_nothing_to_do_is_none(line: Line) -> None:
    assert Runner(line.settings, line.engine).run_one("score") is None


def test_two_datasets_with_different_options_share_a_runner(line: Line) -> None:
    from curate.db import datasets
    from tests.pipelines import Found, pipeline

    other = pipeline({"stage": "score", "batch_size": 1})
    second = datasets.create(line.engine, "second", "/w", other)
    datasets.enqueue(line.engine, second, [Found("/w/a2.mp4")], other)
    line.enqueue("a2.mp4")
    reports = run_all(line, "probe", "split", "score")
    assert sorted(r.split(":")[0] for r in reports[-3:]) == ["1 clip", "1 clip", "2 clips"]


def test_messages_of_a_paused_stage_serve_the_stages_before_it(line: Line) -> None:
    runner = Runner(line.settings, line.engine)
    line.enqueue("a3.mp4")
    runner.run_one("probe")
    runner.run_one("split")
    line.enqueue("b1.mp4")

    def fail(clip: Clip) -> None:
        raise PackageMissing(what="score", package="nothing", install="pip install nothing")

    Score.hook = staticmethod(fail)
    with pytest.raises(ServiceError):
        runner.run_one("score")
    report = runner.run_one("score", line.dataset.id)
    assert report is not None
    assert report.step.name == "probe"
