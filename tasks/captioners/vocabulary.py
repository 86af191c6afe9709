"""The tokenizer of a language model, as the tokenizer.json of its folder says it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curate.configs.errors import BadModel
from curate.tasks.models.device import check_installed
from curate.tasks.models.tokenizer_file import read_tokenizer
from curate.tasks.models.weights import TOKENIZER


class Vocabulary:
    """Texts to numbers and back. Raises BadModel, PackageMissing."""

    def __init__(self, folder: Path) -> None:
        check_installed()
        self._folder = folder
        self._tokenizer = read_tokenizer(folder / TOKENIZER)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def ids(self, text: str) -> list[int]:
        """The numbers of a text, with the marks that the tokenizer sets at its beginning and end."""
        return list(self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids)

    def text(self, ids: Sequence[int]) -> str:
        """The text of numbers, without special words."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def id(self, word: str) -> int:
        """The number of a special word. Raises BadModel where it has none."""
        found = self._tokenizer.token_to_id(word)
        if found is None:
            raise BadModel(path=self._folder / TOKENIZER, why=f"it does not know {word}")
        return int(found)
