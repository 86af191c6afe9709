"""YAML that people write: what is refused, where it stands, and what is read as it looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.configs.errors import ConfigError
from curate.configs.yaml_reader import load_file, load_text, place_of

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdef", "bcdefg", strict=True)
)

REFUSED = {
    "a key twice": ("a: 1\nb: 2\na: 3", "line 3, column 1: the key a is there twice, first in"),
    "a key twice inside": ("a: {b: 1, c: 2, b: 3}", "line 1, column 17: the key b is there twice"),
    "a date": ("a:\n  b: 2026-01-02", "line 2, column 6: 2026-01-02 is read as a date"),
    "a time": ("a: 1:30", "line 1, column 4: 1:30 is read as another number"),
    "octal": ("a: 010", "line 1, column 4: 010 is read as another number"),
    "a number as a key": ("a: 1\n2: b", "line 2, column 1: the key 2 is no text"),
    "a word that is true as a key": ("on: 1", "line 1, column 1: the key on is no text"),
    "a list as a key": ("? [a]\n: 1", "line 1, column 3: a key is no text"),
    "an object": ("a: !!python/object/apply:os.system [x]", "with the tag !!python/object/apply"),
    "a tag of one's own": ("a: !secret x", "line 1, column 4: a value with the tag !secret"),
    "bytes": ("a: !!binary aGk=", "with the tag !!binary"),
    "a set": ("!!set {a, b}", "with the tag !!set"),
    "no number": ("a: !!int b", "line 1, column 4: b is no whole number"),
    "no truth": ("a: !!bool b", "line 1, column 4: b is no truth value"),
    "too many digits": (f"a: {'9' * 5000}", "line 1, column 4: 9{40} is no whole number"),
    "depth": ("a: " + "[" * 100_000, "line 1, column 35: more than 32 levels"),
    "depth of maps": ("a: " + "{a: " * 500, "more than 32 levels"),
    "an anchor in itself": ("a: &b [c, *b]", "line 1, column 11: an anchor that holds itself"),
    "a map in itself": ("&a b: &c {d: *c}", "an anchor that holds itself"),
    "a bomb": (BOMB, r"line \d, column \d+: aliases that stand for too much"),
    "no such anchor": ("a: *b", "line 1, column 4: found undefined alias"),
    "two documents": ("a: 1\n---\nb: 2", "line 2, column 1: expected a single document"),
    "a tab": ("a:\n\t- b", r"line 2, column 1: .*'\\t'"),
    "not closed": ("a: [b\n", "line 2, column 1: while parsing a flow sequence"),
    "NUL": ("a: 1\nb: \0", r"line 2: the character U\+0000"),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
def test_what_misleads_is_refused_with_its_place(which: str) -> None:
    text, why = REFUSED[which]
    with pytest.raises(ValueError, match=why):
        load_text(text)


def test_plain_values_are_read_as_they_look() -> None:
    text = "a: [1, -2.5, yes, null, x, '010', \"2026-01-02\", 1_000, 0x1F, 0, 0.5, 007a, a:b]"
    assert load_text(text)["a"] == [
        1, -2.5, True, None, "x", "010", "2026-01-02", 1000, 31, 0, 0.5, "007a", "a:b",
    ]  # fmt: skip


def test_anchors_and_merges_still_work() -> None:
    text = "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: [*x, *x]"
    made = load_text(text)
    assert made["d"] == {"b": 1, "c": 3} and made["e"] == [{"b": 1, "c": 2}] * 2


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        load_text(text)
    except ValueError as error:
        assert str(error).startswith("line ")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a: 1\nb: caf\xe9", "line 2: it is not UTF-8"),
        ("a: 1".encode("utf-16"), "line 1: it is not UTF-8"),
        (b"# " + b"x" * (1 << 20), "more than 1048576 bytes"),
    ],
    ids=["latin 1", "utf-16", "large"],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        load_file(tmp_path / "x.yaml")
    assert place_of(tmp_path / "x.yaml", "a") == ""


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert load_file(tmp_path / "x.yaml") == {"a": 1}


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ((), "line 1, column 1"),
        (("b",), "line 2, column 1"),
        (("b", 1), "line 4, column 3"),
        (("b", 1, "d"), "line 5, column 3"),
        (("b", 1, "nothing", 3), "line 4, column 3"),
        (("b", 7), "line 2, column 1"),
    ],
)
def test_the_place_of_a_key(tmp_path: Path, keys: tuple[str | int, ...], place: str) -> None:
    (tmp_path / "x.yaml").write_text("a: 1\nb:\n- x\n- c: 2\n  d: 3\n")
    assert place_of(tmp_path / "x.yaml", *keys) == place
