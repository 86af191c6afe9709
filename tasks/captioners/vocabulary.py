"""The tokens of a language model: by the tokenizer.json of its folder, or by SentencePiece's
tokenizer.model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.configs.errors import BadModel, PackageMissing
from curate.tasks.models.device import INSTALL, check_installed
from curate.tasks.models.tokenizer_file import read_tokenizer
from curate.tasks.models.weights import TOKENIZER

_LARGEST_PIECES = 1 << 26  # bytes of a tokenizer.model; that of Llama 2 has 500,000


class Vocabulary:
    """Texts to tokens and back. Raises BadModel, PackageMissing."""

    def __init__(self, folder: Path) -> None:
        check_installed()
        self._file = folder / TOKENIZER
        self._tokenizer = read_tokenizer(self._file)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, with the marks that the tokenizer sets at its beginning and end."""
        return list(self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids)

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def id(self, token: str) -> int:
        """The number of a special token. Raises BadModel where it has none."""
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise BadModel(path=self._file, why=f"it does not know {token}")
        return int(number)


class PieceVocabulary:
    """Texts to tokens and back, by the tokenizer.model of a Llama.

    Raises BadModel, PackageMissing.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._processor = _read_pieces(file)
        numbers = range(len(self))
        self._control = {n for n in numbers if self._processor.is_control(n)}
        self._words = set(numbers) - self._control - {self._processor.unk_id()}

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, without marks at its beginning and end."""
        return list(self._processor.encode(text.encode("utf-8", "replace").decode()))

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special ones and without the space that every text begins
        with.

        Bytes that are no UTF-8 become U+FFFD, one each.
        """
        return str(self._processor.decode([number for number in ids if number in self._words]))

    def id(self, token: str) -> int:
        """The number of a special token. Raises BadModel where it has none."""
        number = int(self._processor.piece_to_id(token))
        if number not in self._control:
            raise BadModel(path=self._file, why=f"it does not know {token}")
        return number


def _read_pieces(file: Path) -> Any:
    """The `sentencepiece.SentencePieceProcessor` of a file, all of whose pieces are texts."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        what = "Running ShareGPT4V"
        raise PackageMissing(what=what, package="sentencepiece", install=INSTALL) from error

    processor = SentencePieceProcessor()
    try:
        content = file.read_bytes() if file.stat().st_size <= _LARGEST_PIECES else b""
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    try:
        processor.LoadFromSerializedProto(content)
        for number in range(processor.get_piece_size()):
            processor.id_to_piece(number)
    except (RuntimeError, ValueError) as error:  # ValueError: a piece is no UTF-8
        why = f"it is no SentencePiece model of a Llama: {str(error)[:200]}"
        raise BadModel(path=file, why=why) from None
    return processor
