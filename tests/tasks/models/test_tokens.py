"""CLIP's tokenizer out of a model's folder, in either form that models come in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs.errors import BadModel
from curate.tasks.models.tokens import Tokens
from tests import tiny
from tests.accuracy.inputs import TEXTS

START, END = 49406, 49407


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """Out of tokenizer.json."""
    folder = tmp_path_factory.mktemp("whole")
    tiny.write_tokenizer(folder / "tokenizer.json")
    return Tokens(folder)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """Out of vocab.json and merges.txt, as older models have it."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "vocab.json").write_text(json.dumps(tiny.vocabulary()), encoding="utf-8")
    lines = "\n".join(f"{left} {right}" for left, right in tiny.merges())
    (folder / "merges.txt").write_text(f"#version: 0.2\n{lines}\n", encoding="utf-8")
    return Tokens(folder)


def test_both_forms_of_a_tokenizer_give_the_same(whole: Tokens, parts: Tokens) -> None:
    np.testing.assert_array_equal(parts.encode(TEXTS), whole.encode(TEXTS))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(), max_size=4), st.integers(2, 77))
def test_any_text_has_a_start_and_an_end_and_fits(
    whole: Tokens, texts: list[str], length: int
) -> None:
    """Lone surrogates too, as some file names have them."""
    ids = whole.encode(texts, length)
    assert ids.shape == (len(texts), length) and ids.dtype == np.int32
    assert (ids[:, 0] == START).all() and (ids == END).any(axis=1).all()
    assert ((ids >= 0) & (ids <= END)).all()


def test_case_and_blanks_do_not_matter(whole: Tokens) -> None:
    ids = whole.encode(["a dog on a beach", "A  Dog\ton a\nBEACH ", " a dog on a beach"])
    assert (ids == ids[0]).all()


def test_a_text_too_long_is_cut_and_keeps_its_end(whole: Tokens) -> None:
    short, long = whole.encode(["dog " * 10, "dog " * 500], 12)
    assert short.tolist() == long.tolist()
    assert (long[0], long[-1], set(long[1:-1].tolist())) == (START, END, {1929})


def test_the_length_asked_for_holds_for_one_call(whole: Tokens) -> None:
    assert whole.encode(["dog " * 500], 5).shape == (1, 5)
    assert (whole.encode(["dog " * 20], 77)[0] == 1929).sum() == 20


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tokenizer.json", "{", "it is no tokenizer"),
        ("tokenizer.json", "{}", "it is no tokenizer"),
        ("tokenizer.json", "\0\0", "it is no tokenizer"),
        ("vocab.json", "[", "it is no tokenizer"),
        ("vocab.json", '{"a": 0}', "No such file|merges"),
        ("other.json", "{}", "No such file"),
    ],
)
def test_what_is_no_tokenizer_is_refused(
    name: str, content: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadModel, match=words):
        Tokens(tmp_path)


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.BPE({"a": 0, "b": 1}, [])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(BadModel, match=r"has no <\|endoftext\|>"):
        Tokens(tmp_path)


def test_a_tokenizer_of_a_larger_vocabulary_than_the_weights_is_refused(tmp_path: Path) -> None:
    """Else each text would fail by itself, with an index that is out of range."""
    tiny.write_tokenizer(tmp_path / "tokenizer.json")
    assert Tokens(tmp_path, END + 1).encode(["a dog"]).max() == END
    with pytest.raises(BadModel, match="number 49407, and its weights have 49407 tokens"):
        Tokens(tmp_path, END)
