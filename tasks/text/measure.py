"""Counts the words and tokens of a text, and finds URLs."""

from __future__ import annotations

import re
from pathlib import Path

from curate.configs.errors import PackageMissing
from curate.tasks.models.tokenizer_file import read_tokenizer

_URL = re.compile(r"\b(?:(?:https?|ftp)://|www\.)[^\s.]", re.IGNORECASE)
# scripts without spaces: each character is a word, half-width kana together with their sound marks
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    "|[\uff66-\uff9d][\uff9e\uff9f]?"
)
_LETTER = re.compile(r"\w")


def words(text: str) -> int:
    """How many words a text has.

    A word is a part between spaces that has a letter or digit, or one Chinese or kana character.
    """
    spaced = _UNSPACED.sub(" ", text)
    return len(_UNSPACED.findall(text)) + sum(
        _LETTER.search(part) is not None for part in spaced.split()
    )


def has_url(text: str) -> bool:
    """Whether a text holds a URL: http://, https://, ftp:// or www. and a name after it."""
    return _URL.search(text) is not None


class TokenCounter:
    """Counts tokens with the tokenizer.json of a folder, including the marks of start and end.

    Long texts are not truncated. Raises BadModel when the folder has no tokenizer, PackageMissing.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._tokenizer = read_tokenizer(folder / "tokenizer.json")
        except ImportError:
            raise PackageMissing(
                what="Counting tokens", package="tokenizers", install="pip install tokenizers"
            ) from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids)
