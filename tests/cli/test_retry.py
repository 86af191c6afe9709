"""retry: failed rows go back to their stage."""

from __future__ import annotations

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
