"""One tree of errors, whose docstrings are their messages."""

from __future__ import annotations

import inspect
import pickle
import string

import pytest

from curate.configs import errors, row_errors

CLASSES = sorted(
    {
        c
        for module in (errors, row_errors)
        for _, c in inspect.getmembers(module, inspect.isclass)
        if issubclass(c, errors.CurateError)
    },
    key=lambda c: c.__name__,
)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_the_docstring_is_the_message(cls: type[errors.CurateError]) -> None:
    fields = {f for _, f, _, _ in string.Formatter().parse(cls.__doc__ or "") if f}
    message = str(cls(**{f: f"<{f}>" for f in fields}))
    assert all(f"<{f}>" in message for f in fields)
    assert "\n" not in message
    assert len(message) > 5


def test_a_missing_field_does_not_hide_the_error() -> None:
    assert "?" in str(row_errors.Unreadable(path="/x"))


def test_exit_codes_follow_the_tree() -> None:
    codes = {c.exit_code for c in CLASSES}
    assert codes == {1, 2, 3, 4}
    assert errors.NoSuchDataset.exit_code == 2
    assert errors.FilterError.exit_code == 3
    assert errors.PackageMissing.exit_code == 4
    assert row_errors.MediaError.exit_code == 1


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_an_error_can_be_sent_from_a_process_to_another(cls: type[errors.CurateError]) -> None:
    told = cls(what=object(), why=ValueError("x"))  # a field may be anything
    again = pickle.loads(pickle.dumps(told))
    assert (type(again), str(again)) == (cls, str(told))


def test_braces_in_a_value_are_left_alone() -> None:
    assert "{a}" in str(row_errors.Unreadable(path="/{a}.mp4", why="x"))


@pytest.mark.parametrize(
    ("why", "told"), [("who?", "who? Check"), ("gone.", "gone. Check"), ("so...", "so.... Check")]
)
def test_a_reason_that_ends_as_a_sentence_gets_no_second_full_stop(why: str, told: str) -> None:
    assert told in str(errors.ServiceError(what="x", why=why))
