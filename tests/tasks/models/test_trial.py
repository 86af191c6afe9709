"""A trial of a model: what it measures, and that weights which give no numbers are found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("kind", "device"),
    [("clip", "ONNX Runtime, 10 pictures and a text"), ("aesthetic", "NumPy"), ("nsfw", "NumPy")],
)
def test_each_kind_says_what_it_ran_and_what_it_took(
    kind: str, device: str, found: Mapping[str, Any]
) -> None:
    measured = found["trials"][kind]
    assert measured["device"].startswith(device)
    assert all(measured[f"{part}_seconds"] > 0 for part in ("load", "first", "again"))
    assert measured["peak_mb"] > 10


def test_weights_of_nan_are_told(found: Mapping[str, Any]) -> None:
    kind, message = found["trials"]["damaged"]
    assert kind == "BadModel" and "NaN or infinite" in message and "/damaged" in message
