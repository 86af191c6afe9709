"""init: a pipeline file to begin with, never in place of one that is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curate.worker.session.pipelines import resolve
from tests.cli.conftest import Call


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_what_config_prints(curate: Call) -> None:
    assert curate("init").code == 0
    printed = curate("config", "--yaml").out.splitlines()[1:]  # the title differs
    assert Path("pipeline.yaml").read_text().splitlines()[1:] == printed


def test_init_of_a_preset_with_changes(curate: Call) -> None:
    done = curate("init", "my scores.yaml", "-c", "scores.yaml", "--set", "cut.crf=18")
    assert done.code == 0
    asked = resolve(Path("scores.yaml"), ["cut.crf=18"], ready=False).pipeline
    assert resolve(Path("my scores.yaml"), ready=False).pipeline.frozen() == asked.frozen()


def test_init_replaces_only_when_forced(curate: Call) -> None:
    Path("pipeline.yaml").write_text("mine")
    done = curate("init")
    assert (done.code, "--force" in done.err, Path("pipeline.yaml").read_text()) == (
        2,
        True,
        "mine",
    )
    assert curate("init", "--force").code == 0
    assert "pipeline:" in Path("pipeline.yaml").read_text()


@pytest.mark.parametrize("place", [".", "nowhere/p.yaml", "/proc/p.yaml"])
def test_init_says_why_a_file_cannot_be_written(curate: Call, place: str) -> None:
    done = curate("init", place, "--force")
    assert (done.code, place in done.err, "unexpected" in done.err) == (2, True, False), done.err
    assert not os.path.exists("nowhere")  # noqa: PTH110


def test_a_dash_is_standard_output(
    curate: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "\npipeline:\n" in curate("init", "-").out
    assert not list(tmp_path.iterdir())
