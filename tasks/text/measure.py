"""What is counted or found in a text: words, tokens, URLs."""

from __future__ import annotations

import re
from pathlib import Path

from curate.configs.errors import PackageMissing
from curate.tasks.models.tokenizer_file import read_tokenizer

_URL = re.compile(r"\b(?:(?:https?|ftp)://|www\.)[^\s.]", re.IGNORECASE)
# scripts written without blanks: each character is a word, half-width kana with their sound marks
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    "|[\uff66-\uff9d][\uff9e\uff9f]?"
)
_LETTER = re.compile(r"\w")


def words(text: str) -> int:
    """How many words a text has: parts between blanks with a letter or digit in them, and Chinese
    and kana characters, one each.
    """
    spaced = _UNSPACED.sub(" ", text)
    return len(_UNSPACED.findall(text)) + sum(
        _LETTER.search(part) is not None for part in spaced.split()
    )


def has_url(text: str) -> bool:
    """Whether a text holds a URL: http://, https://, ftp:// or www. and more."""
    return _URL.search(text) is not None


class TokenCounter:
    """Counts tokens by the tokenizer.json of a folder, with marks of start and end, uncut.

    Raises BadModel when the folder holds none, PackageMissing.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._tokenizer = read_tokenizer(folder / "tokenizer.json")
        except ImportError:
            install = 'pip install "curate[mindspore]", or: pip install tokenizers'
            raise PackageMissing(
                what="Counting tokens", package="tokenizers", install=install
            ) from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, text: str) -> int:
        """The tokens of a text."""
        return len(self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids)
