"""buckets: how many clips are in each, and how many fit none."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text

from curate.db import datasets
from curate.worker.session.pipelines import resolve
from tests.cli.conftest import Call, Filled


@pytest.fixture
def boxed(filled: Filled, tmp_path: Path) -> None:
    """Dataset `boxed`, the newest, has the clips of `pets`: three kept, two not looked at."""
    table = ["96x160x9", "48x80x9", {"sizes": ["32x32"], "frames": [5]}]
    steps = ["probe", "split", {"stage": "bucket", "table": table}, "cut"]
    file = tmp_path / "buckets.yaml"
    file.write_text(yaml.safe_dump({"pipeline": steps}))
    pipeline = resolve(file, ready=False).pipeline
    dataset = datasets.create(filled.engine, "boxed", "/videos/boxed", pipeline)
    datasets.add_columns(filled.engine, pipeline.columns())
    with filled.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET dataset_id = :d"), {"d": dataset.id})
        for ids, column, value in (
            ("1, 2, 4", "bucket", "48x80x9"),
            ("3", "bucket", "64x64x9"),
            ("5", "no_bucket", "too_small"),
        ):
            statement = f"UPDATE clips SET {column} = '{value}' WHERE id IN ({ids})"
            connection.execute(text(statement))


def test_each_bucket_of_the_table_and_of_clips_is_counted(curate: Call, boxed: None) -> None:
    found = curate("buckets", "--json").json
    counts = [(row["bucket"], row["no_bucket"], row["clips"], row["kept"]) for row in found]
    assert counts == [
        ("96x160x9", None, 0, 0),
        ("48x80x9", None, 3, 2),
        ("32x32x5", None, 0, 0),
        ("64x64x9", None, 1, 1),  # by an earlier table
        (None, "too_small", 1, 0),
        (None, None, 2, 0),
    ]
    names = ("height", "width", "frames", "aspect_ratio")
    assert [found[1][name] for name in names] == [48, 80, 9, 0.6]
    assert sum(row["clips"] for row in found) == 7, "none vanishes"


def test_the_table_for_people_says_what_is_not_known_yet(curate: Call, boxed: None) -> None:
    result = curate("buckets", "boxed")
    assert "not looked at" in result.out.splitlines()[-1]
    assert "Next: curate export boxed" in result.err


def test_a_preset_is_listed_without_any_dataset(curate: Call, home: Path) -> None:
    found = curate("buckets", "--table", "480p", "--json").json
    assert found[0] == {
        "bucket": "480x832x25",
        "height": 480,
        "width": 832,
        "frames": 25,
        "aspect_ratio": pytest.approx(480 / 832),
    }
    assert len(found) == 20
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--table", "481p"], "did you mean 480p?"),
        (["--table", "480p", "pets"], "not both"),
        (["pets"], "--set bucket.enabled=true"),
    ],
)
def test_what_is_wrong_is_told(curate: Call, filled: Filled, words: list[str], says: str) -> None:
    result = curate("buckets", *words)
    assert (result.code, says in result.err, result.out) == (2, True, "")


def test_stats_count_the_clips_of_each_bucket(curate: Call, boxed: None) -> None:
    found = {one["column"]: one for one in curate("stats", "--json").json}
    common = {v["value"]: (v["rows"], v["kept"]) for v in found["bucket"]["common"]}
    assert common == {"48x80x9": (3, 2), "64x64x9": (1, 1)}
    assert found["no_bucket"]["common"] == [{"value": "too_small", "rows": 1, "kept": 0}]


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_line_is_wider_than_the_terminal(
    curate: Call, boxed: None, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    shown = re.sub("\x1b\\[[0-9;]*m", "", curate("buckets").out)
    assert max(map(len, shown.splitlines())) <= width
    assert all(word in shown for word in ("48x80x9", "too_small", "kept"))
