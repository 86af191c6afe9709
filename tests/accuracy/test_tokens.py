"""Texts become the ids that the tokenizer of the published checkpoint gives them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import tiny
from tests.accuracy import inputs

pytestmark = pytest.mark.accuracy
References = Mapping[str, NDArray[Any]]
START, END = 49406, 49407


@pytest.fixture(scope="module")
def found(models: Path) -> NDArray[np.int32]:
    """The ids of all texts, (200, 77)."""
    from curate.tasks.models.tokens import Tokens

    ids = Tokens(models / tiny.CLIP).encode(inputs.TEXTS)
    assert ids.dtype == np.int32 and ids.shape == (200, 77)
    return ids


def used(row: NDArray[Any]) -> list[int]:
    """The ids up to the first end of text, where the text tower looks."""
    ids: list[int] = row.tolist()
    return ids[: ids.index(END) + 1]


def filled(row: NDArray[Any], filling: int) -> list[int]:
    """The ids without those at the end that fill the row up, and without the last end mark."""
    ids: list[int] = row.tolist()
    while ids[-1] == filling:
        ids.pop()
    while ids[-1] == END:
        ids.pop()
    return ids


@pytest.mark.parametrize("number", range(len(inputs.TEXTS)))
def test_ids_are_those_of_the_reference(
    number: int, found: NDArray[np.int32], references: References
) -> None:
    """All of a text; rows are filled up with 0 here and by OpenAI, with the end mark by Hugging
    Face's tokenizer.
    """
    assert filled(found[number], 0) == filled(references["tokens_fast"][number], END), ascii(
        inputs.TEXTS[number]
    )[:80]


def test_every_text_starts_and_ends(found: NDArray[np.int32]) -> None:
    assert (found[:, 0] == START).all()
    assert all(used(row)[-1] == END for row in found), "also where a text was cut to 77"


def test_the_texts_put_the_tokenizer_to_the_test(
    references: References, facts: Mapping[str, Any]
) -> None:
    """Empty and over-long ones are among them, and such as another tokenizer of CLIP gives other
    ids.
    """
    lengths = [len(used(row)) for row in references["tokens_fast"]]
    assert min(lengths) == 2 and lengths.count(77) >= 8
    for other in ("slow", "openai"):
        differ = [
            n for n, text in enumerate(inputs.TEXTS)
            if used(references["tokens_fast"][n]) != used(references[f"tokens_{other}"][n])
        ]  # fmt: skip
        assert differ == facts[f"texts where {other} differs from fast"] and len(differ) >= 10
