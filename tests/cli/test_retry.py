"""retry: failed rows go back to their stage."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Call, Filled


def test_retry_puts_failed_rows_back(curate: Call, filled: Filled) -> None:
    assert curate("retry", "--error", "EmptyFile", "--json").json == {
        "dataset": "pets",
        "rows": 1,
        "gone": 0,
    }
    result = curate("retry")
    assert result.out == "dataset pets: 1 row to try again\n"
    assert "curate resume pets" in result.err
    assert curate("errors", "--json").json == []
    assert curate("retry").err == ""  # nothing left, so nothing to suggest


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--error", "EmptyFlie"], "did you mean EmptyFile"),
        (["--error", "emptyfile"], "did you mean EmptyFile?"),
        (["--error", "Zzz"], "rows of pets failed with CutMismatch, EmptyFile"),
        (["--stage", "prob"], "did you mean probe?"),
        (["pest"], "no dataset pest (did you mean pets?)"),
    ],
)
def test_a_name_that_is_not_there(
    curate: Call, filled: Filled, words: list[str], says: str
) -> None:
    result = curate("retry", *words)
    assert (result.code, says in result.err, result.out) == (2, True, ""), result.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--error", "Unreadable"], "no row of pets failed with Unreadable"),
        (["--stage", "split"], "no row of pets failed at split"),
        (["--stage", "cut", "--error", "EmptyFile"], "failed at cut with EmptyFile"),
    ],
)
def test_nothing_of_the_kind_failed(
    curate: Call, filled: Filled, words: list[str], says: str
) -> None:
    result = curate("retry", *words)
    assert (result.code, says in result.err) == (0, True), result.err
