"""errors: what failed, how often, and one row in full."""

from __future__ import annotations

import csv
import io

import pytest
from sqlalchemy import text

from curate.db.engine import writing
from tests.cli.conftest import Call, Filled


def test_errors_say_how_many_and_what_to_do(curate: Call, filled: Filled) -> None:
    found = curate("errors", "--json").json
    assert [(f["stage"], f["error"], f["rows"], f["path"]) for f in found] == [
        ("cut", "CutMismatch", 1, "/v/a.mp4"),
        ("probe", "EmptyFile", 1, "/v/c.mp4"),
    ]
    assert "/v/c.mp4 is empty" in curate("errors", "--stage", "probe").out


def test_advice_is_by_what_has_to_change_first(curate: Call, filled: Filled) -> None:
    """A file, what the message says, or nothing: only then a retry is the next command."""
    advice = curate("errors").err
    assert "EmptyFile: replace the file; curate run notices" in advice
    assert "CutMismatch: first do what the message says" in advice
    assert "retry pets" not in advice
    with filled.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET reason = 'CaptionEmpty' WHERE id = 5"))
    advice = curate("errors").err
    assert "Next: curate retry pets --error CaptionEmpty\n" in advice
    assert "first do" not in advice
    assert "Next: curate retry pets\n" in curate("errors", "--error", "CaptionEmpty").err


def test_errors_of_a_stage_that_is_not_there(curate: Call, filled: Filled) -> None:
    result = curate("errors", "--stage", "aesthetic")
    assert (result.code, "probe, split, dedup, motion, cut" in result.err) == (2, True)


def test_one_row_in_full(curate: Call, filled: Filled) -> None:
    clip = curate("errors", "--id", "5", "--json").json
    assert (clip["reason"], clip["source"]) == ("CutMismatch", "/v/a.mp4")
    assert curate("errors", "--id", "3", "--level", "video", "--json").json["path"] == "/v/c.mp4"
    assert curate("errors", "--id", "99").code == 2


def test_errors_shows_every_row_on_request(curate: Call, filled: Filled) -> None:
    """The default has one row a kind: two clips of a kind, and a video of another."""
    with filled.engine.begin() as connection:
        failed = "status = 'failed', stage = 'cut', reason = 'CutMismatch', error = 'x'"
        connection.execute(text(f"UPDATE clips SET {failed} WHERE id = 7"))
    assert [f["rows"] for f in curate("errors", "--json").json] == [2, 1]
    found = curate("errors", "--all", "--json").json
    assert [(f["level"], f["id"], f["error"], f["path"], f["clip_index"]) for f in found] == [
        ("video", 3, "EmptyFile", "/v/c.mp4", None),
        ("clip", 5, "CutMismatch", "/v/a.mp4", 3),
        ("clip", 7, "CutMismatch", "/v/a.mp4", 5),
    ]
    table = curate("errors", "--all").out.splitlines()
    assert (table[0].split()[:4], len(table)) == (["level", "id", "stage", "error"], 4)
    assert "curate errors pets --all" in curate("errors").err


def test_errors_as_csv_has_every_row(curate: Call, filled: Filled) -> None:
    found = list(csv.DictReader(io.StringIO(curate("errors", "--csv").out)))
    assert [(f["id"], f["message"]) for f in found] == [
        ("3", "/v/c.mp4 is empty (0 bytes)"),
        ("5", "9"),
    ]


def test_csv_goes_to_standard_output(curate: Call, filled: Filled) -> None:
    """Also by the name that programs have for it; a file's name is no dataset's."""
    printed = curate("errors", "--csv").out
    assert printed
    assert curate("errors", "--csv", "-").out == printed
    assert curate("errors", "pets", "--csv").out == printed
    result = curate("errors", "--csv", "broken.csv")
    assert (result.code, "curate errors --csv > broken.csv" in result.err) == (2, True)


@pytest.mark.parametrize("form", [(), ("--all",), ("--csv",)])
def test_errors_of_one_kind(curate: Call, filled: Filled, form: tuple[str, ...]) -> None:
    out = curate("errors", "--error", "EmptyFile", *form).out
    assert ("EmptyFile" in out, "CutMismatch" in out) == (True, False)


def test_errors_of_a_kind_that_no_row_failed_with(curate: Call, filled: Filled) -> None:
    result = curate("errors", "--error", "NotMedia", "--all")
    assert (result.code, result.out, result.err) == (0, "", "nothing failed\n")
    result = curate("errors", "--error", "EmptyFil")
    assert (result.code, "did you mean EmptyFile" in result.err) == (2, True)


def test_lost_frames_are_told_though_no_row_failed(curate: Call, filled: Filled) -> None:
    with writing(filled.engine) as connection:
        lost = "num_frames = 4000, frames_decoded = 3988, frames_leftover = 0, frames_unplaced = 2"
        connection.execute(text(f"UPDATE videos SET {lost} WHERE id = 1"))
    result = curate("errors")
    told = "1 video lost frames: 12 of 4,000 did not decode, 2 decoded ones are in no clip"
    assert told in result.out
    query = next(line for line in result.err.splitlines() if "SELECT" in line)
    assert "frames_decoded < num_frames" in query
    found = curate("errors", "--json").json[-1]
    assert (found["error"], found["rows"], found["example_id"]) == ("FramesLost", 1, 1)
    assert told in curate("status").out
    assert curate("status", "--json").json["frames"]["decoded"] == 3988
