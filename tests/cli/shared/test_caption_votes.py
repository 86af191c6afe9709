"""The file of votes on captions: read whole, or refused with the reason."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from curate.cli.shared.caption_votes import read_votes
from curate.configs.errors import BadVotes
from curate.db.votes import Vote


def test_who_gives_no_name_is_this_user(tmp_path: Path) -> None:
    file = tmp_path / "votes.json"
    file.write_text('{"votes": [{"clip": 1, "left": 2, "right": 3, "choice": "neither"}]}')
    assert read_votes(file) == ("", getpass.getuser(), [Vote(1, 2, 3, "neither")])


def test_a_user_without_a_name_is_told_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", unknown)
    file = tmp_path / "votes.json"
    file.write_text('{"votes": []}')
    assert read_votes(file) == ("", f"user {os.getuid()}", [])


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "[]",
        '{"votes": [1]}',
        '{"votes": [{"clip": true, "left": 1, "right": 2, "choice": "left"}]}',
        '{"votes": [{"clip": 1, "left": 1, "right": 2, "choice": "up"}]}',
        '{"dataset": 1, "votes": []}',
        '{"voter": "\\ud800", "votes": []}',
        '{"dataset": "\\u0000", "votes": []}',
        "[" * 100_000,
    ],
    ids=lambda content: content[:40],
)
def test_votes_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "votes.json"
    file.write_text(content)
    with pytest.raises(BadVotes, match=r"--sheet votes\.html"):
        read_votes(file)
