"""Remarks on stderr."""

from __future__ import annotations

import pytest

from curate.worker.session.console import Console


def test_remarks_and_warnings_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Their lines stay lines."""
    Console().say("a\x1b[2J\nb")
    Console().warn("c\x07\nd")
    assert capsys.readouterr().err == "a\\x1b[2J\nb\nwarning: c\\x07\nd\n"


def test_quiet_leaves_the_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = Console(quiet=True, advise=str.upper)
    quiet.say("a")
    quiet.warn("b")
    assert capsys.readouterr().err == "warning: B\n"
