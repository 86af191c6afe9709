"""run: what is wrong is reported before the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Call


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--where", "flwo >= 1"), 3), (("--columns", "path,flwo"), 2), (("--sort", "flwo desc"), 2)],
    ids=["where", "columns", "sort"],
)
def test_a_misspelt_column_is_told_before_any_worker_starts(
    curate: Call, videos: Path, home: Path, words: tuple[str, str], code: int
) -> None:
    done = curate("run", str(videos), "-o", str(videos.parent / "clips.csv"), *words)
    assert (done.code, "flwo" in done.err, "did you mean flow" in done.err) == (code, True, True), (
        done.err
    )
    assert not (home / "logs").exists()
    assert not (home / "broker").exists()


def test_a_home_that_cannot_be_made_is_a_service_that_is_missing(
    curate: Call, videos: Path
) -> None:
    wrong = videos / "a.mp4" / "home"
    done = curate("--home", str(wrong), "run", str(videos), "-o", str(videos.parent / "clips.csv"))
    assert done.code == 4
    assert str(wrong) in done.err
    assert "CURATE_HOME" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_written_to(curate: Call, videos: Path) -> None:
    videos.chmod(0o555)
    done = curate("--home", str(videos), "run", str(videos), "-o", str(videos.parent / "clips.csv"))
    assert (done.code, "cannot be written to" in done.err) == (4, True)
