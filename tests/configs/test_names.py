"""The names that come near what was typed."""

from __future__ import annotations

import pytest

from curate.configs.names import did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("Unreadble", ["NotMedia", "Unreadable"], ["Unreadable"]),
        ("unreadable", ["Unreadables", "Unreadable"], ["Unreadable"]),  # but for the case
        ("motoin", ["probe", "motion"], ["motion"]),
        ("clip_id", ["clip_id"], []),  # never the name itself
        ("ocr", ["probe", "split"], []),
    ],
)
def test_nearest(name: str, known: list[str], near: list[str]) -> None:
    assert nearest(name, known) == near


def test_what_goes_behind_a_wrong_name() -> None:
    assert did_you_mean("flwo", ["flow"]) == " (did you mean flow?)"
    assert did_you_mean("x", ["flow"]) == ""
