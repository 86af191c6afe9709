"""The list of slow tests keeps up with the files, and nothing slow is started by quick tests."""

from __future__ import annotations

import pytest

from tests.quick import LONGEST, QUICK, ROOT, SLOW, VARIABLE, forbid_in_quick, is_slow, turn


@pytest.mark.parametrize("path", SLOW)
def test_what_is_named_as_slow_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_files_below_a_slow_folder_are_slow() -> None:
    assert is_slow(ROOT / SLOW[0] / "deep" / "test_x.py")
    assert not is_slow(ROOT / "tests" / "test_quick.py")


def test_the_longest_of_the_slow_files_come_first_and_quick_ones_last() -> None:
    assert [turn(file) for file in LONGEST] == list(range(len(LONGEST)))
    assert all(is_slow(ROOT / file) for file in LONGEST)
    assert turn(f"{SLOW[0]}/test_x.py") == QUICK - 1 == len(LONGEST)
    assert turn("tests/test_quick.py") == QUICK


def test_a_quick_test_that_starts_something_slow_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(pytest.fail.Exception, match=r"a server: name its file in tests/quick\.py"):
        forbid_in_quick("a server")
    monkeypatch.delenv(VARIABLE)
    forbid_in_quick("a server")
