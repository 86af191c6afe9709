"""The global options: --quiet and --home."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Call, Filled


def test_quiet_leaves_out_the_talk(curate: Call, filled: Filled) -> None:
    assert "Next:" in curate("status").err
    assert curate("-q", "status").err == ""


def test_home_comes_before_the_environment(curate: Call, filled: Filled, tmp_path: Path) -> None:
    assert curate("status").code == 0
    assert curate("--home", str(tmp_path / "other"), "status").code == 2
