"""Words, URLs and tokens of texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import BadModel
from curate.tasks.models.words import make_tokenizer
from curate.tasks.text import measure


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \n ", 0),
        ("A dog runs.", 3),
        ("a - b", 2),
        ("it's 5:30", 2),
        ("一只狗 runs", 4),
        ("... ?!", 0),
        ("ｶﾞﾝ", 2),
    ],
)
def test_words_are_counted(text: str, count: int) -> None:
    assert measure.words(text) == count


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see http://x.y", True),
        ("HTTPS://A", True),
        ("at www.shop.com", True),
        ("www. is a word", False),
        ("hill.it is", False),
        ("", False),
    ],
)
def test_urls_are_seen(text: str, found: bool) -> None:
    assert measure.has_url(text) is found


def test_tokens_are_counted_without_a_cut(tmp_path: Path) -> None:
    made = make_tokenizer([])
    made.enable_truncation(5)
    made.save(str(tmp_path / "tokenizer.json"))
    assert (
        measure.TokenCounter(tmp_path).count("abc def") == 6 + 2
    )  # a token a letter, and the two ends


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_a_folder_without_a_tokenizer_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BadModel, match=r"tokenizer\.json"):
        measure.TokenCounter(tmp_path)
