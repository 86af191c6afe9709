"""What is written, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.cli.shared.exports import ExportRequest, export_clips, plan_export
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.worker.session.database import open_dataset
from tests.cli.conftest import Filled


def test_the_clips_are_counted_when_they_are_written(
    filled: Filled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = ExportRequest(tmp_path / "clips.csv", columns=("path,",))
    export_clips(Session(), open_dataset(Session(), "pets"), request)
    lines = (tmp_path / "clips.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("path", 4)
    assert f"3 clips written to {request.output}" in capsys.readouterr().err


def test_a_wrong_column_is_an_error_before_anything_is_written(
    filled: Filled, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="flwo"):
        plan_export(
            open_dataset(Session(), "pets"), ExportRequest(tmp_path / "c.csv", columns=("flwo",))
        )
    assert not list(tmp_path.glob("*.csv"))
