"""The file with votes on captions that the page of `curate captions compare --sheet` saves."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import Any, get_args

from curate.configs.errors import BadVotes
from curate.configs.texts import storable
from curate.db.votes import Choice, Vote

_NUMBERS = ("clip", "left", "right")
_LARGEST = 1 << 62


def read_votes(path: Path) -> tuple[str, str, list[Vote]]:
    """The dataset, the voter (this user, where they gave no name) and the votes of a file.

    Raises BadVotes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadVotes(path=path, why=error.strerror or error) from None
    except (ValueError, RecursionError) as error:
        raise BadVotes(path=path, why=f"it is no JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("votes"), list):
        raise BadVotes(path=path, why="it has no list `votes`")
    names = [content.get(name) or "" for name in ("dataset", "voter")]
    if not all(isinstance(name, str) and storable(name) == name for name in names):
        raise BadVotes(path=path, why="its dataset and voter are no texts")
    votes = [_vote(path, number, each) for number, each in enumerate(content["votes"], 1)]
    voter = names[1].strip()[:80]
    if not voter:
        try:
            voter = getpass.getuser()
        except (KeyError, OSError):  # in a container a user may have no name
            voter = f"user {os.getuid()}"
    return names[0], voter, votes


def _vote(path: Path, number: int, each: Any) -> Vote:
    known = isinstance(each, dict) and each.get("choice") in get_args(Choice)
    if not known or not all(
        type(each.get(name)) is int and 0 < each[name] < _LARGEST for name in _NUMBERS
    ):
        why = f"vote {number} lacks clip, left and right as numbers, or a choice"
        raise BadVotes(path=path, why=why)
    return Vote(each["clip"], each["left"], each["right"], each["choice"])
