"""What of an export is done already: it lies beside the parts, so that a killed one can go on.

A part is told by a digest of its clips. It is noted before anything of it is written, so after a
kill what lies there is either of the same clips or known to be of others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from curate.export.places import read_text, there, write_text
from curate.tasks.storage.locations import Location, below

FOLDER = ".curate"


class Journal:
    """The journal of the parts below a folder or URL, in a folder `.curate` of its own."""

    def __init__(self, root: Location) -> None:
        self._folder = below(root, FOLDER)

    def begun(self, number: int) -> str:
        """The digest of a part that was begun; empty: there is none."""
        place = self._place(number, "begun")
        return read_text(place) if there(place) else ""

    def begin(self, number: int, digest: str) -> None:
        """Note that a part is being written."""
        write_text(self._place(number, "begun"), digest)

    def is_done(self, number: int) -> bool:
        """Whether a part is whole."""
        return there(self._place(number, "done"))

    def end(self, number: int, laid: Iterable[Any]) -> None:
        """Note that a part is whole, and what is to be known of it at the end."""
        lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in laid)
        write_text(self._place(number, "done"), lines)

    def laid(self, parts: int) -> Iterator[Any]:
        """What was noted of the first so many parts, in order."""
        for number in range(parts):
            for line in read_text(self._place(number, "done")).split("\n"):
                if line:
                    yield json.loads(line)

    def _place(self, number: int, state: str) -> Location:
        return below(self._folder, f"{number:06d}.{state}")
