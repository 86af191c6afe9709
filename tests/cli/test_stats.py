"""stats: quantiles and a histogram of each column."""

from __future__ import annotations

import re
import sys

import pytest
from sqlalchemy import text

from tests.cli.conftest import Call, Filled


@pytest.fixture(autouse=True)
def scores(filled: Filled) -> None:
    """Three kept clips with a flow of 1, 2 and 3; a dropped one with 9."""
    with filled.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET flow = id WHERE id < 4"))
        connection.execute(text("UPDATE clips SET flow = 9 WHERE id = 4"))


def test_kept_stands_against_all(curate: Call) -> None:
    shown = curate("stats", "flow").out.splitlines()
    assert shown[0] == "flow   measured on 4 of 7   higher is better"
    assert [line.split()[:3] for line in shown[2:4]] == [["all", "4", "1"], ["kept", "3", "1"]]
    drawn = {line.split()[0]: line for line in shown[4:6]}
    assert [len(drawn[name].split()) - 1 for name in ("all", "kept")] == [4, 3]
    assert shown[6].split() == ["1", "9"]


def test_all_measured_numbers_are_the_default(curate: Call) -> None:
    found = {one["column"]: one for one in curate("stats", "--json").json}
    assert {"flow", "num_frames", "fps"} <= set(found)
    assert "static" not in found  # of no clip
    assert found["flow"]["summaries"]["kept"]["quantiles"]["0.5"] == 2
    assert curate("stats", "static", "--json").json[0]["nulls"] == 7


def test_texts_are_counted(curate: Call) -> None:
    shown = curate("stats", "reason").out
    assert "unique" in shown
    assert "2 of 7, 2 different" in shown


def test_columns_of_videos(curate: Call) -> None:
    found = curate("stats", "status", "--level", "video", "--json").json[0]
    assert {v["value"]: v["rows"] for v in found["common"]} == {"kept": 2, "failed": 1}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["flw"], "did you mean flow?"),
        (["pets"], "write --dataset pets"),
        (["flow", "--dataset", "dogs"], "no dataset dogs"),
        (["flow", "--level", "frame"], "clip or video"),
    ],
)
def test_what_is_wrong_is_told(curate: Call, words: list[str], says: str) -> None:
    result = curate("stats", *words)
    assert (result.code, says in result.err) == (2, True)


def test_bars_are_ascii_where_the_terminal_is(
    curate: Call, monkeypatch: pytest.MonkeyPatch, filled: Filled
) -> None:
    assert "█" in curate("stats", "flow").out
    monkeypatch.setattr("rich.console.Console.encoding", "ascii")
    shown = curate("stats", "flow").out
    assert shown.isascii()
    assert "@" in shown


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_line_is_wider_than_the_terminal(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with filled.engine.begin() as connection:  # skewed, and long when written out
        connection.execute(text("UPDATE clips SET fps = 123456.789 * id * id * id * id"))
    coloured = curate("stats", "flow", "num_frames", "fps").out
    shown = re.sub("\x1b\\[[0-9;]*m", "", coloured).splitlines()
    assert max(map(len, shown)) <= width
    assert all(name in shown[1] for name in ("min", "50 %", "max"))
