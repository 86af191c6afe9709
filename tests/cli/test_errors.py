"""errors: what failed, how often, and one row in full."""

from __future__ import annotations

from tests.cli.conftest import Call, Filled


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
