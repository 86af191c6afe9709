"""pick: single clips kept and dropped by hand, as a user does it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cli.conftest import Call, Filled


@pytest.fixture(autouse=True)
def scored(filled: Filled) -> None:
    with filled.engine.begin() as connection:
        duplicate = "CASE reason WHEN 'unique' THEN 1 ELSE 0 END"
        connection.execute(text(f"UPDATE clips SET duplicate = {duplicate}, black = 0.1"))


def rows(filled: Filled) -> dict[int, tuple[str, str | None, str | None]]:
    with filled.engine.connect() as connection:
        found = connection.execute(text("SELECT id, status, reason, picked FROM clips"))
        return {row[0]: (row[1], row[2], row[3]) for row in found}


def test_pick_drops_keeps_and_undoes(curate: Call, filled: Filled) -> None:
    dropped = curate("pick", "drop", "1", "2")
    assert dropped.out == "dataset pets: 2 clips picked to drop; 0 come back, 2 dropped\n"
    assert rows(filled)[1] == ("dropped", "picked", "drop")
    kept = curate("pick", "keep", "4")
    assert kept.out == "dataset pets: 1 clip picked to keep; 1 come back, 0 dropped\n"
    assert "curate resume pets" in kept.err
    again = curate("pick", "undo", "1", "2", "4", "3")
    assert again.out == "dataset pets: 4 clips no longer picked; 2 come back, 1 dropped\n"
    assert "1 clip was not picked before" in again.err


def test_pick_prints_json_alone_on_stdout(curate: Call, filled: Filled) -> None:
    assert curate("pick", "drop", "1", "6", "--json").json == {
        "dataset": "pets",
        "picked": "drop",
        "clips": 2,
        "changed": 2,
        "come_back": 0,
        "dropped": 1,
        "at_work": 1,
        "originals": [],
        "unfinished": 2,
    }


def test_pick_takes_what_export_and_sql_write(curate: Call, filled: Filled, tmp_path: Path) -> None:
    exported = tmp_path / "clips.csv"
    assert curate("export", "-o", str(exported)).code == 0
    assert curate("pick", "drop", "--from", str(exported), "--json").json["dropped"] == 3
    ids = tmp_path / "ids.csv"
    ids.write_text(curate("sql", "--csv", "SELECT id, status FROM clips WHERE picked = 'drop'").out)
    assert curate("pick", "undo", "--from", str(ids), "--json").json["come_back"] == 3


def test_the_copy_that_takes_a_place_is_told(curate: Call, filled: Filled) -> None:
    with filled.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET dedup_seq = id"))
        connection.execute(text("UPDATE clips SET duplicate_of = 1 WHERE id = 4"))
    done = curate("pick", "drop", "1")
    assert "clip 4 takes the place of its copy 1 as the original" in done.err
    assert done.out.endswith("1 come back, 1 dropped\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["drop", "99"], 2, "there is no clip 99"),
        (["keep", "5"], 2, "clip 5 failed; first run: `"),
        (["drop", "x"], 2, "x is not the id of a clip"),
        (["drop"], 2, "--from FILE"),
        (["drop", "--from", "gone.csv"], 2, "no file or folder gone.csv"),
        (["drop", "1", "--dataset", "pest"], 2, "did you mean pets"),
        ([], 2, ""),
    ],
)
def test_pick_refuses(curate: Call, filled: Filled, words: list[str], code: int, says: str) -> None:
    before = rows(filled)
    result = curate("pick", *words)
    assert (result.code, says.rstrip("`") in result.err) == (code, True), result.err
    assert rows(filled) == before


def test_the_funnel_tells_of_picks_once_there_are_any(curate: Call, filled: Filled) -> None:
    steps = [step["step"] for step in curate("filter", "--json").json]
    assert "picked" not in steps
    curate("pick", "drop", "1")
    curate("pick", "keep", "2", "4")
    funnel = curate("filter", "--json").json
    (picked,) = (step for step in funnel if step["step"] == "picked")
    assert picked == {
        "step": "picked", "kind": "pick", "rows": "clips", "came_in": 7, "kept": 6, "dropped": 1,
        "failed": 0, "waiting": 0, "kept_share": 0.857143, "where": "2 to keep, 1 to drop",
    }  # fmt: skip
    assert [s["came_in"] for s in funnel if s["step"] == "dedup"] == [6]
    assert funnel[-1]["kept"] == 2
    assert sum(s["dropped"] for s in funnel if s["rows"] == "clips") == 1


def test_a_pick_is_a_column_of_export_once_there_are_any(curate: Call, filled: Filled) -> None:
    assert "picked" not in curate("export").out.partition("\n")[0].split(",")
    curate("pick", "keep", "1")
    lines = curate("export").out.splitlines()
    at = lines[0].split(",").index("picked")
    assert sorted(line.split(",")[at] for line in lines[1:]) == ["", "", "keep"]
    chosen = curate("export", "--columns", "clip_id,picked", "--where", "picked = 'keep'").out
    assert chosen == "clip_id,picked\n1,keep\n"


def test_no_filter_may_be_called_as_the_reason_of_picks(curate: Call, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("pipeline: [probe, split, {filter: picked, where: num_frames > 1}]")
    result = curate("config", "-c", str(file))
    assert (result.code, "call it otherwise" in result.err) == (3, True), result.err
