"""The journal tells which parts are begun and which are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.export.journal import Journal


@pytest.mark.parametrize("kind", ["disk", "store"])
def test_parts_are_begun_then_whole(tmp_path: Path, kind: str) -> None:
    root: Path | str = tmp_path if kind == "disk" else f"memory://journal/{tmp_path.name}"
    journal = Journal(root)
    assert (journal.begun(0), journal.is_done(0)) == ("", False)
    journal.begin(0, "digest")
    assert (journal.begun(0), journal.is_done(0)) == ("digest", False)
    journal.end(0, [["a\u2028b", 1], {"n": None}])
    journal.begin(1, "other")
    journal.end(1, [])
    assert Journal(root).is_done(0)
    assert list(Journal(root).laid(2)) == [["a\u2028b", 1], {"n": None}]
