"""What can be counted or seen in a text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from curate.configs.errors import PackageMissing
from curate.tasks.models.tokenizer_file import read_tokenizer

_URL = re.compile(r"\b(?:(?:https?|ftp)://|www\.)[^\s.]", re.IGNORECASE)
# scripts written without blanks: each character counts as a word, half-width kana with their sound
# marks
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[\uff66-\uff9d][\uff9e\uff9f]?"
)
_LETTER = re.compile(r"\w")


def words(text: str) -> int:
    """Words of a text: what stands between blanks and holds a letter or digit; a Chinese or kana
    character is one.
    """
    spaced = _UNSPACED.sub(" ", text)
    return len(_UNSPACED.findall(text)) + sum(
        _LETTER.search(part) is not None for part in spaced.split()
    )


def has_url(text: str) -> bool:
    """Whether a text holds a URL: http://, https://, ftp:// or www. and more."""
    return _URL.search(text) is not None


class TokenCounter:
    """Counts tokens by the tokenizer.json of a folder, the marks of start and end included, nothing
    cut.

    Raises BadModel when the folder holds none, PackageMissing.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _read(folder / "tokenizer.json")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, text: str) -> int:
        """The tokens of a text."""
        return len(self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids)


def _read(path: Path) -> Any:
    try:
        return read_tokenizer(path)
    except ImportError:
        install = 'pip install "curate[mindspore]", or: pip install tokenizers'
        raise PackageMissing(
            what="Counting tokens", package="tokenizers", install=install
        ) from None
