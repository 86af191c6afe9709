"""refilter: clips come back and are dropped by other filters."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cli.conftest import Call, Filled


def scored(filled: Filled) -> None:
    with filled.engine.begin() as connection:
        duplicate = "CASE reason WHEN 'unique' THEN 1 ELSE 0 END"
        connection.execute(text(f"UPDATE clips SET duplicate = {duplicate}, black = 0.1"))


def test_refilter_revives_and_drops(curate: Call, filled: Filled) -> None:
    scored(filled)
    result = curate(
        "refilter", "--set", "unique.where=duplicate <= 1", "--set", "not_black.where=black < 0.05"
    )
    assert result.out == "dataset pets: 1 row revived, 3 rows dropped\n"
    assert "curate resume pets" in result.err
    again = curate("refilter", "--set", "not_black.enabled=false", "--json").json
    assert (again["revived"], again["dropped"]) == (3, 0)


def test_refilter_takes_the_file_too(curate: Call, filled: Filled, tmp_path: Path) -> None:
    scored(filled)
    file = tmp_path / "p.yaml"
    file.write_text(curate("config", "--set", "unique.where=duplicate < 9", "--yaml").out)
    assert (
        curate("refilter", "-c", str(file)).out == "dataset pets: 1 row revived, 0 rows dropped\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--set", "cut.crf=20"], 3, "cut.crf 23 → 20"),
        (["--set", "unique.where=dup = 0"], 3, "did you mean duplicate"),
        (["--set", "unknown.where=duplicate = 0"], 3, "unknown step unknown"),
        ([], 2, "--set FILTER.where"),
    ],
)
def test_refilter_refuses(
    curate: Call, filled: Filled, words: list[str], code: int, says: str
) -> None:
    result = curate("refilter", *words)
    assert (result.code, says in result.err) == (code, True), result.err


def test_a_refilter_that_was_interrupted_is_told_and_finished_without_options(
    curate: Call, filled: Filled
) -> None:
    scored(filled)
    with filled.engine.begin() as connection:
        connection.execute(text("""UPDATE datasets SET refiltering = '["unique"]'"""))
        connection.execute(text("UPDATE clips SET duplicate = 0"))
    for command in (("status",), ("filter",), ("export",)):
        assert "curate refilter pets" in curate(*command).err
    assert curate("refilter").out == "dataset pets: 1 row revived, 0 rows dropped\n"
    assert "refilter" not in curate("filter").err.partition("Next:")[0]


def test_a_dry_run_tells_what_a_refilter_then_does_and_writes_nothing(
    curate: Call, filled: Filled
) -> None:
    scored(filled)
    words = ["--set", "unique.where=duplicate <= 1", "--set", "not_black.where=black < 0.05"]
    told = curate("refilter", "--dry-run", *words, "--json").json
    clips = {"kept": 1, "lost": 3, "come_back": 1, "to_go": 1, "unmeasured": 0}
    assert told["in_all"]["clips"] == clips
    assert (told["dataset"], told["at_work"]) == ("pets", 1)
    unique, not_black = told["filters"]
    assert unique == {
        "filter": "unique", "rows": "clips", "kept": 1, "lost": 0, "come_back": 1, "to_go": 1,
        "unmeasured": 0, "old": "duplicate = 0", "new": "duplicate <= 1",
    }  # fmt: skip
    assert (not_black["lost"], not_black["old"]) == (3, "black <= 0.5")
    shown = curate("refilter", "-n", *words)
    assert "1 row would be revived and 3 dropped; nothing was written" in shown.err
    head, *_, unique_line, black_line = shown.out.splitlines()
    assert head.split() == ["filter", "rows", "kept", "lost", "come_back", "to_go", "unmeasured"]
    assert unique_line == "unique: duplicate = 0 → duplicate <= 1"
    assert black_line == "not_black: black <= 0.5 → black < 0.05"
    (line,) = (line for line in shown.err.splitlines() if line.startswith("Next: "))
    done = curate(*shlex.split(line.removeprefix("Next: curate ")))
    assert done.out == "dataset pets: 1 row revived, 3 rows dropped\n"


def test_a_dry_run_of_an_interrupted_refilter_tells_what_is_left(
    curate: Call, filled: Filled
) -> None:
    scored(filled)
    with filled.engine.begin() as connection:
        connection.execute(text("""UPDATE datasets SET refiltering = '["unique"]'"""))
        connection.execute(text("UPDATE clips SET duplicate = 0"))
    assert curate("refilter", "--dry-run", "--json").json["in_all"]["clips"]["come_back"] == 1
    assert "curate refilter pets" in curate("status").err
