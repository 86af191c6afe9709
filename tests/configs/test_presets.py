"""A bare name stands for a packaged pipeline, unless such a file exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import ConfigError
from curate.configs.presets import PRESETS, find_pipeline_file


def test_a_bare_name_stands_for_the_packaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_pipeline_file(Path("scores.yaml")) == PRESETS / "scores.yaml"
    for other in (Path("mine.yaml"), Path("x/scores.yaml"), tmp_path / "scores.yaml"):
        with pytest.raises(ConfigError, match="there is no such file"):
            find_pipeline_file(other)
    Path("scores.yaml").write_text("pipeline: [probe]")
    assert find_pipeline_file(Path("scores.yaml")) == Path("scores.yaml")


def test_the_ending_of_a_bare_name_may_be_left_out() -> None:
    assert find_pipeline_file(Path("scores")) == PRESETS / "scores.yaml"
