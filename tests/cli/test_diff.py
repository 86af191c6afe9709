"""diff: two datasets of the same sources, clip by clip."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cli.conftest import Call
from tests.cli.own_files import Owned, make_owned


@pytest.fixture
def two(home: Path, tmp_path: Path) -> Owned:
    """Datasets `pets` (clips 1 to 6) and `more` (7 to 12) of the same sources."""
    pets = make_owned(home, tmp_path / "videos")
    make_owned(home, tmp_path / "videos", "more")
    return pets


def test_datasets_that_are_alike(curate: Call, two: Owned) -> None:
    assert curate("diff", "pets", "more", "--json").json["clips"] == {"same": 6}
    assert curate("diff", "pets", "more").err == ""


def test_what_differs_is_told_by_clip_and_column(curate: Call, two: Owned) -> None:
    with two.engine.begin() as connection:
        for change in (
            "UPDATE clips SET flow = 7 WHERE id = 7",
            "UPDATE clips SET status = 'dropped', reason = 'unique' WHERE id = 8",
            "DELETE FROM clips WHERE id = 9",
            "DELETE FROM clips WHERE id = 4",
        ):
            connection.execute(text(change))
    found = curate("diff", "pets", "more", "--json").json
    assert found["clips"] == {"same": 2, "differs": 2, "only_a": 1, "only_b": 1}
    assert found["columns"] == [{"column": "flow", "clips": 1, "mean_change": 2, "largest": 2}]
    by_clip = {
        (d["clip_a"], d["clip_b"]): (d["change"], d["columns"]) for d in found["differences"]
    }
    assert by_clip == {
        (1, 7): ("differs", {"flow": [5, 7]}),
        (2, 8): ("differs", {"status": ["kept", "dropped"],
                             "reason": [None, "unique"]}),
        (3, None): ("only_a", {}),
        (None, 10): ("only_b", {}),
    }  # fmt: skip
    lines = list(csv.DictReader(io.StringIO(curate("diff", "pets", "more", "--csv").out)))
    assert [(line["change"], line["column"], line["b"]) for line in lines] == [
        ("differs", "flow", "7.0"), ("differs", "status", "dropped"),
        ("differs", "reason", "unique"), ("only_a", "", ""), ("only_b", "", ""),
    ]  # fmt: skip
    shown = curate("diff", "pets", "more")
    assert "dropped unique" in shown.out and "in more only" in shown.out
    assert "curate diff pets more --csv" in shown.err


def test_one_dataset_is_not_compared_with_itself(curate: Call, two: Owned) -> None:
    done = curate("diff", "pets", "pets")
    assert (done.code, "name two" in done.err) == (2, True)
