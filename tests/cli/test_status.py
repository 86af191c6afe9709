"""status, errors, retry, filter, refilter: what they say of rows in every state."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cli.conftest import Call, Filled


def test_status_counts_each_row_once_at_each_stage(curate: Call, filled: Filled) -> None:
    found = curate("status", "--json").json
    stages = {s["stage"]: s for s in found["stages"]}
    counts = {
        n: tuple(s[k] for k in ("waiting", "running", "done", "dropped", "failed"))
        for n, s in stages.items()
    }
    assert counts == {
        "probe": (0, 0, 2, 0, 1),
        "split": (0, 0, 2, 0, 0),
        "dedup": (0, 0, 6, 1, 0),  # the filter `unique` behind it dropped one
        "motion": (1, 1, 4, 0, 0),
        "cut": (0, 0, 3, 0, 1),
    }


def test_shares_sum_to_100(curate: Call, filled: Filled) -> None:
    shares = curate("status", "--json").json["shares"]
    assert sum(shares.values()) == pytest.approx(100)
    assert shares["failed"] == pytest.approx(
        100 * 2 / 8
    )  # a video and a clip, of seven clips and a video never split


def test_status_names_rates_workers_and_failures(curate: Call, filled: Filled) -> None:
    found = curate("status", "pets", "--json").json
    assert found["workers"] == ["7@host"]
    assert 0 < next(s["rate"] for s in found["stages"] if s["stage"] == "probe") <= 3
    assert {f["error"] for f in found["failures"]} == {"EmptyFile", "CutMismatch"}


def test_status_for_people(curate: Call, filled: Filled) -> None:
    result = curate("status")
    assert result.out.splitlines()[1].split()[:3] == ["stage", "queue", "waiting"]
    assert "3 videos · 7 clips · 1 worker at work" in result.out
    assert "1 x EmptyFile in probe, e.g. /v/c.mp4" in result.out
    assert "Next: curate status pets --watch" in result.err


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--fail-on-error"], 1), (["dogs"], 2)])
def test_exit_codes_of_status(curate: Call, filled: Filled, words: list[str], code: int) -> None:
    assert curate("status", *words).code == code


def test_errors_say_how_many_and_what_to_do(curate: Call, filled: Filled) -> None:
    found = curate("errors", "--json").json
    assert [(f["stage"], f["error"], f["rows"], f["path"]) for f in found] == [
        ("cut", "CutMismatch", 1, "/v/a.mp4"),
        ("probe", "EmptyFile", 1, "/v/c.mp4"),
    ]
    assert "/v/c.mp4 is empty" in curate("errors", "--stage", "probe").out


def test_errors_of_a_stage_that_is_not_there(curate: Call, filled: Filled) -> None:
    result = curate("errors", "--stage", "aesthetic")
    assert (result.code, "probe, split, dedup, motion, cut" in result.err) == (2, True)


def test_one_row_in_full(curate: Call, filled: Filled) -> None:
    clip = curate("errors", "--id", "5", "--json").json
    assert (clip["reason"], clip["source"]) == ("CutMismatch", "/v/a.mp4")
    assert curate("errors", "--id", "3", "--level", "video", "--json").json["path"] == "/v/c.mp4"
    assert curate("errors", "--id", "99").code == 2


def test_retry_puts_failed_rows_back(curate: Call, filled: Filled) -> None:
    assert curate("retry", "--error", "EmptyFile", "--json").json == {"dataset": "pets", "rows": 1}
    result = curate("retry")
    assert result.out == "dataset pets: 1 row to try again\n"
    assert "curate resume pets" in result.err
    assert curate("errors", "--json").json == []
    assert curate("retry").err == ""  # nothing left, so nothing to suggest


def test_the_funnel_follows_the_pipeline(curate: Call, filled: Filled) -> None:
    rows = {r["step"]: r for r in curate("filter", "--json").json}
    assert list(rows) == ["probe", "split", "dedup", "unique", "motion", "not_black", "cut"]
    flow = [(r["came_in"], r["kept"]) for r in rows.values()]
    assert flow == [(3, 2), (2, 2), (7, 7), (7, 6), (6, 4), (4, 4), (4, 3)]
    assert rows["unique"]["dropped"] == 1
    assert rows["unique"]["where"] == "duplicate = 0"


def test_the_funnel_for_people(curate: Call, filled: Filled) -> None:
    line = next(x for x in curate("filter").out.splitlines() if x.startswith("unique"))
    assert line.split() == [
        "unique",
        "filter",
        "clips",
        "7",
        "6",
        "1",
        "0",
        "0",
        "85.7",
        "%",
        "duplicate",
        "=",
        "0",
    ]


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
