"""What tells a changed file from an unchanged one."""

from __future__ import annotations

import os
from pathlib import Path

from curate.tasks.inputs.find import find_inputs
from tests.tasks.inputs.cases import touch


def test_the_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (before,) = find_inputs(str(tmp_path))
    (same,) = find_inputs(str(tmp_path))
    os.utime(tmp_path / "a.mp4", ns=(1, 1))
    (after,) = find_inputs(str(tmp_path))
    assert before == same and before.fingerprint != after.fingerprint == "1-1"
