"""Vectors in a file: each group in the order of adding, whatever was added between."""

from __future__ import annotations

import numpy as np
import pytest

from curate.tasks.models import vector_file
from curate.tasks.models.vector_file import VectorFile


def test_groups_are_read_as_they_were_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_file, "BLOCK", 4)
    file = VectorFile(3, np.float16)
    numbers = np.arange(90, dtype=np.float16).reshape(30, 3)
    for start, group in ((0, 7), (3, 2), (6, 7), (15, 7), (16, 2)):
        file.extend(group, numbers[start : start + (9 if start == 6 else 3)])
    seventh = np.concatenate([numbers[0:3], numbers[6:15], numbers[15:18]])
    assert (file.read(7, 0, 100) == seventh).all()
    assert (file.read(7, 8, 4) == seventh[8:12]).all()
    assert (file.take(7, [14, 0, 5]) == seventh[[14, 0, 5]]).all()
    assert (file.read(2, 4, 8) == numbers[[17, 18]]).all()
    assert file.read(1, 0, 4).shape == (0, 3)
    assert file.take(7, []).shape == (0, 3)
