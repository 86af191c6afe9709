"""export and sql from the command line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Filled


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_export_writes_kept_clips_video_by_video(
    curate: Call, filled: Filled, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "clips.csv"
    result = curate("export", "-o", str(target))
    found = rows(target.read_text())
    assert [r["path"] for r in found] == ["/c/a_scene-0.mp4", "/v/a.mp4", "/c/b_scene-0.mp4"]
    assert f"3 clips written to {target}" in result.err
    assert "2 rows are not through yet" in result.err
    assert result.out == ""


def test_export_without_a_file_goes_to_stdout(curate: Call, filled: Filled) -> None:
    found = rows(
        curate("export", "pets", "--columns", "clip_id, path", "--where", "text = 'a cat'").out
    )
    assert [r["clip_id"] for r in found] == ["3", "2"]


def test_export_of_all_statuses_says_which(curate: Call, filled: Filled) -> None:
    found = rows(curate("export", "--status", "all").out)
    assert sorted(r["status"] for r in found) == [
        "active",
        "active",
        "dropped",
        "failed",
        "kept",
        "kept",
        "kept",
    ]
    ended = rows(curate("export", "--status", "dropped", "--status", "failed").out)
    assert [r["reason"] for r in ended] == ["unique", "CutMismatch"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--columns", "path,flw"], 2, "did you mean flow"),
        (["--sort", "flow down"], 2, "--sort"),
        (["--where", "flow > (SELECT 1)"], 3, "--where"),
        (["--status", "lost"], 2, "kept, dropped, failed, active, all"),
        (["--columns", "owner"], 2, "owner"),
    ],
)
def test_export_refuses(
    curate: Call, filled: Filled, words: list[str], code: int, says: str
) -> None:
    result = curate("export", *words)
    assert (result.code, says in result.err, result.out) == (code, True, ""), result.err


def test_sql_answers_in_three_forms(curate: Call, filled: Filled) -> None:
    query = "SELECT status, count(*) AS n FROM clips GROUP BY 1 ORDER BY 1"
    assert curate("sql", query, "--json").json[0] == {"status": "active", "n": 2}
    assert curate("sql", query, "--csv").out.splitlines()[:2] == ["status,n", "active,2"]
    assert curate("sql", query).out.splitlines()[0].split() == ["status", "n"]


def test_sql_shows_two_columns_of_the_same_name(curate: Call, filled: Filled) -> None:
    assert curate("sql", "SELECT 1 AS a, 2 AS a").out.split() == ["a", "a", "1", "2"]


def test_sql_says_when_there_is_more(curate: Call, filled: Filled) -> None:
    result = curate("sql", "SELECT id FROM clips", "--max-rows", "2", "--csv")
    assert (len(result.out.splitlines()), "--max-rows" in result.err) == (3, True)


@pytest.mark.parametrize(
    ("statement", "says"),
    [("DELETE FROM clips", "DELETE"), ("SELECT flw FROM clips", "did you mean flow")],
)
def test_sql_refuses(curate: Call, filled: Filled, statement: str, says: str) -> None:
    result = curate("sql", statement)
    assert (result.code, says in result.err, result.out) == (3, True, "")


def test_sql_without_a_statement_lists_tables(curate: Call, filled: Filled) -> None:
    found = {t["table"]: t for t in curate("sql", "--json").json}
    assert (found["clips"]["rows"], found["clips"]["columns"]["flow"]) == (7, "float")
    assert "videos" in curate("sql").out


def test_a_table_never_commands_the_terminal() -> None:
    from curate.cli.shared.output import formatted

    assert (
        formatted("a\x1b[2Jb\nc\x9b\u202e\udc80 é 猫 👩‍🚀")
        == "a\\x1b[2Jb\\nc\\x9b\\u202e\\udc80 é 猫 👩‍🚀"
    )
