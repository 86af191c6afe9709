"""A counter of long work is silent when work is short, and otherwise says how far it is."""

from __future__ import annotations

import pytest

from curate.cli.shared.output import Console, Counter


def test_short_work_is_not_talked_about(capsys: pytest.CaptureFixture[str]) -> None:
    with Counter(Console(), "rows judged") as counter:
        counter.show(5, 10)
    assert capsys.readouterr().err == ""


def test_long_work_has_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counter, "LINE_EVERY", 0.0)
    with Counter(Console(), "rows judged") as counter:
        counter.show(20_000, 1_000_000)
    assert capsys.readouterr().err.endswith(" 20 000 of 1 000 000 rows judged\n")


def test_quiet_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counter, "LINE_EVERY", 0.0)
    with Counter(Console(quiet=True), "clips written") as counter:
        counter.show(1)
    assert capsys.readouterr().err == ""
