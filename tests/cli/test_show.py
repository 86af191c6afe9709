"""show: one clip, found by its id alone, and why it is where it is."""

from __future__ import annotations

import shlex

import pytest
from sqlalchemy import text

from tests.cli.conftest import Call, Filled, finish_clips


def test_a_clip_is_found_without_its_dataset(curate: Call, filled: Filled) -> None:
    finish_clips(filled)
    with filled.engine.begin() as connection:  # a newer one
        same = "root, pipeline, created_at, epoch, state, forms"
        copied = f"INSERT INTO datasets (name, {same}) SELECT 'newer', {same} FROM datasets"
        connection.execute(text(copied))
    found = curate("show", "4", "--json").json
    assert (found["dataset"], found["reason"], found["source"]) == ("pets", "unique", "/v/a.mp4")
    assert "dropped by the filter unique" in curate("show", "4").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["99"], "there is no clip 99"),
        (["99", "--level", "video"], "there is no video 99"),
        (["1", "--level", "frame"], "it is clip or video"),
        (["cat"], "'cat' is no id"),
    ],
)
def test_a_row_that_is_not_there(curate: Call, filled: Filled, words: list[str], says: str) -> None:
    result = curate("show", *words)
    assert (result.code, says in result.err) == (2, True)


def test_the_command_that_is_told_brings_the_clip_back(curate: Call, filled: Filled) -> None:
    finish_clips(filled, "UPDATE clips SET duplicate = 0, black = 0.7 WHERE id = 1")
    assert curate("refilter").code == 2
    assert curate("refilter", "--set", "not_black.where=black <= 0.5").code == 0
    found = curate("show", "1", "--json").json
    assert (found["status"], found["reason"]) == ("dropped", "not_black")
    command = shlex.split(found["comes_back_with"])
    assert command[-1] == "not_black.where=black <= 0.7"
    assert curate(*command[1:]).code == 0
    after = curate("show", "1", "--json").json
    assert (after["status"], after["comes_back_with"]) == ("kept", None)


def test_errors_with_an_id_is_the_same(curate: Call, filled: Filled) -> None:
    for more in ([], ["--json"]):
        assert curate("errors", "--id", "5", *more).out == curate("show", "5", *more).out


@pytest.mark.parametrize("words", [("show", "abc"), ("show", "1.5"), ("errors", "--id", "abc")])
def test_what_is_no_id_is_refused_with_a_way_to_the_ids(
    curate: Call, filled: Filled, words: tuple[str, ...]
) -> None:
    result = curate(*words)
    assert (result.code, f"'{words[-1]}' is no id" in result.err) == (2, True)
    assert "curate export --columns clip_id,path" in result.err
