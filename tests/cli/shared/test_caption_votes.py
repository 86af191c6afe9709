"""The file of votes on captions: read whole, or refused with the reason."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from curate.cli.shared.caption_votes import read_votes
from curate.configs.errors import BadVotes
from curate.db.votes import Vote


def test_who_gives_no_name_is_this_user(tmp_path: Path) -> None:
    file = tmp_path / "votes.json"
    file.write_text('{"votes": [{"clip": 1, "left": 2, "right": 3, "choice": "neither"}]}')
    assert read_votes(file) == ("", getpass.getuser(), [Vote(1, 2, 3, "neither")])


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "[]",
        '{"votes": [1]}',
        '{"votes": [{"clip": true, "left": 1, "right": 2, "choice": "left"}]}',
        '{"votes": [{"clip": 1, "left": 1, "right": 2, "choice": "up"}]}',
        '{"dataset": 1, "votes": []}',
    ],
)
def test_votes_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "votes.json"
    file.write_text(content)
    with pytest.raises(BadVotes, match=r"--sheet votes\.html"):
        read_votes(file)
