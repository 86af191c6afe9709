"""Tokenizers of language models: tokenizer.json, or SentencePiece's tokenizer.model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.configs.errors import BadModel, PackageMissing
from curate.tasks.models.device import INSTALL, check_installed
from curate.tasks.models.tokenizer_file import read_tokenizer
from curate.tasks.models.weights import TOKENIZER

_LARGEST_PIECES = 1 << 26  # bytes of a tokenizer.model; Llama 2's has 500,000


class Vocabulary:
    """Encodes and decodes text by a tokenizer.json. Raises BadModel, PackageMissing."""

    def __init__(self, folder: Path) -> None:
        check_installed()
        self._file = folder / TOKENIZER
        self._tokenizer = read_tokenizer(self._file)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, with the begin and end marks that the tokenizer adds."""
        return list(self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids)

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def id(self, token: str) -> int:
        """The id of a special token. Raises BadModel if there is no such token."""
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise BadModel(path=self._file, why=f"it does not know {token}")
        return int(number)


class PieceVocabulary:
    """Encodes and decodes text by a Llama's tokenizer.model. Raises BadModel, PackageMissing."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._processor = _read_pieces(file)
        numbers = range(len(self))
        self._control = {n for n in numbers if self._processor.is_control(n)}
        self._words = set(numbers) - self._control - {self._processor.unk_id()}

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, without begin and end marks."""
        return list(self._processor.encode(text.encode("utf-8", "replace").decode()))

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special tokens and without the leading space of every text.

        Each byte that is not valid UTF-8 becomes U+FFFD.
        """
        return str(self._processor.decode([number for number in ids if number in self._words]))

    def id(self, token: str) -> int:
        """The id of a special token. Raises BadModel if there is no such token."""
        number = int(self._processor.piece_to_id(token))
        if number not in self._control:
            raise BadModel(path=self._file, why=f"it does not know {token}")
        return number


def _read_pieces(file: Path) -> Any:
    """The `sentencepiece.SentencePieceProcessor` of a Llama's file. Raises BadModel."""
    try:
        from google.protobuf.message import DecodeError
        from sentencepiece import SentencePieceProcessor
        from sentencepiece.sentencepiece_model_pb2 import ModelProto
    except ImportError as error:
        what = "Running ShareGPT4V"
        raise PackageMissing(what=what, package="sentencepiece", install=INSTALL) from error

    try:
        content = file.read_bytes() if file.stat().st_size <= _LARGEST_PIECES else b""
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    try:
        difference = _differs_from_llama(ModelProto.FromString(content))
    except DecodeError:
        difference = "it is truncated, or no such message"
    if difference:
        raise BadModel(path=file, why=f"it is no SentencePiece model of a Llama: {difference}")
    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(content)
        for number in range(processor.get_piece_size()):
            processor.id_to_piece(number)
    except (RuntimeError, ValueError) as error:  # ValueError: a piece is not UTF-8
        why = f"it is no SentencePiece model of a Llama: {str(error)[:200]}"
        raise BadModel(path=file, why=why) from None
    return processor


def _differs_from_llama(model: Any) -> str:
    """What a `ModelProto` does otherwise than Llama's; empty when nothing.

    The library runs any model as its file says, so a wrong one would give wrong prompts.
    """
    spec, letters, kinds = model.trainer_spec, model.normalizer_spec, model.SentencePiece
    is_bpe = spec.model_type == spec.BPE and spec.byte_fallback
    if not is_bpe or spec.treat_whitespace_as_suffix:
        return "it is not of type BPE, without pieces for bytes, or sets spaces behind words"
    keeps_spaces = letters.escape_whitespaces and not letters.remove_extra_whitespaces
    if letters.precompiled_charsmap or not letters.add_dummy_prefix or not keeps_spaces:
        return "it changes letters or spaces of a text otherwise than Llama's"
    known = {kinds.NORMAL, kinds.UNKNOWN, kinds.CONTROL, kinds.BYTE}
    others = sorted({piece.type for piece in model.pieces} - known)
    return f"a piece of type {others[0]}" if others else ""
