"""Words of a Llama: SentencePiece's `tokenizer.model`, read and used without SentencePiece.

The file is a protobuf message (sentencepiece_model.proto of google/sentencepiece): pieces (1), each
with its text (1), score (2) and type (3), how it was trained (2), and how texts are normalised (3).
A text is cut into letters, and the two neighbours that make the piece of the best score become one,
the first such two where several have it, until none do. Letters without a piece are written as
their bytes. (The `tokenizers` library wants a list of pairs by rank instead, which the file does
not hold.)
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Sequence
from pathlib import Path

from curate.configs.errors import BadModel
from curate.tasks.models.protobuf import Damaged, Span, fields, place, text, whole

_SPACE = "\u2581"  # what a model has for a space
_LARGEST = 1 << 26  # bytes; that of Llama 2 has 500,000
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_BPE = 2
_LETTER = "\ufffd"


class SentencePieces:
    """Texts to numbers and back, as SentencePiece's own encode and decode. Raises BadModel."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            content = file.read_bytes() if file.stat().st_size <= _LARGEST else b""
            self._read(content)
        except OSError as error:
            raise BadModel(path=file, why=error.strerror or str(error)) from None
        except (ValueError, struct.error) as error:
            raise BadModel(
                path=file, why=f"it is no SentencePiece model of a Llama: {error}"
            ) from None

    def __len__(self) -> int:
        return len(self._pieces)

    def ids(self, text: str) -> list[int]:
        """The numbers of a text, without marks at its beginning and end."""
        found: list[int] = []
        for piece in self._merged(text.encode("utf-8", "replace").decode()):
            number = self._numbers.get(piece)
            found += [self._bytes[byte] for byte in piece.encode()] if number is None else [number]
        return found

    def text(self, ids: Sequence[int]) -> str:
        """The text of numbers, without special words and without the space that every text is given
        in front.

        Bytes that are no UTF-8 become U+FFFD, one each.
        """
        parts: list[str] = []
        held = b""
        for number in ids:
            piece, _, kind = (
                self._pieces[number] if number < len(self._pieces) else ("", 0.0, _UNKNOWN)
            )
            if kind == _BYTE:
                held += bytes([self._values[number]])
            elif kind == _NORMAL:
                first = not parts and not held
                parts += [
                    _letters(held),
                    (piece.removeprefix(_SPACE) if first else piece).replace(_SPACE, " "),
                ]
                held = b""
        return "".join([*parts, _letters(held)])

    def id(self, word: str) -> int:
        """The number of a special word. Raises BadModel where it has none."""
        for number, (piece, _, kind) in enumerate(self._pieces):
            if piece == word and kind == _CONTROL:
                return number
        raise BadModel(path=self._file, why=f"it does not know {word}")

    def _read(self, content: bytes) -> None:
        parts: dict[int, list[Span]] = {1: [], 2: [], 3: []}
        for number, value in fields(content, (0, len(content))):
            if number in parts:
                parts[number].append(place(value))
        self._pieces = [_piece(content, span) for span in parts[1]]
        _check_training(dict(field for span in parts[2] for field in fields(content, span)))
        _check_normalising(dict(field for span in parts[3] for field in fields(content, span)))
        self._numbers = {
            piece: n for n, (piece, _, kind) in enumerate(self._pieces) if kind == _NORMAL
        }
        self._scores = {piece: score for piece, score, kind in self._pieces if kind == _NORMAL}
        self._values = {
            n: int(piece[3:5], 16)
            for n, (piece, _, kind) in enumerate(self._pieces)
            if kind == _BYTE
        }
        self._bytes = {byte: n for n, byte in self._values.items()}
        if len(self._numbers) != sum(kind == _NORMAL for _, _, kind in self._pieces):
            raise Damaged("a piece is there twice")
        if sorted(self._values.values()) != list(range(256)):
            raise Damaged("it has not one piece for each byte")

    def _merged(self, given: str) -> list[str]:
        """The pieces of a text: neighbours joined, best first."""
        parts = list(_SPACE + given.replace(" ", _SPACE)) if given else []
        before, after = list(range(-1, len(parts) - 1)), [*range(1, len(parts)), -1]
        waiting: list[tuple[float, int, int, str]] = []

        def offer(left: int, right: int) -> None:
            joined = parts[left] + parts[right] if left >= 0 <= right else ""
            if joined in self._scores:
                heapq.heappush(waiting, (-self._scores[joined], left, right, joined))

        for left in range(len(parts) - 1):
            offer(left, left + 1)
        while waiting:
            _, left, right, joined = heapq.heappop(waiting)
            if not parts[left] or not parts[right] or parts[left] + parts[right] != joined:
                continue  # one of them has been joined to another since
            parts[left], parts[right] = joined, ""
            after[left] = after[right]
            if after[left] >= 0:
                before[after[left]] = left
            offer(before[left], left)
            offer(left, after[left])
        return [part for part in parts if part]


def _piece(content: bytes, span: Span) -> tuple[str, float, int]:
    """Text, score and type."""
    found = dict(fields(content, span))
    start, end = place(found.get(2, (0, 0)))
    score = struct.unpack("<f", content[start:end])[0] if end > start else 0.0
    kind = whole(found.get(3, _NORMAL))
    if kind not in (_NORMAL, _UNKNOWN, _CONTROL, _BYTE):
        raise Damaged(f"a piece of type {kind}")
    return text(content, place(found.get(1, (0, 0)))), score, kind


def _check_training(found: dict[int, int | Span]) -> None:
    """Model type (3), whether spaces go behind words (24), whether there are bytes (35)."""
    if found.get(3, 1) != _BPE or not found.get(35) or found.get(24):
        raise Damaged(
            "it is not of type BPE, without pieces for bytes, or sets spaces behind words"
        )


def _check_normalising(found: dict[int, int | Span]) -> None:
    """A table of letters (2), a space in front (3), spaces at the ends and double ones removed (4),
    or shown (5).
    """
    start, end = place(found.get(2, (0, 0)))
    if end > start or not found.get(3, 1) or found.get(4, 1) or not found.get(5, 1):
        raise Damaged("it changes letters or spaces of a text otherwise than Llama's")


def _letters(held: bytes) -> str:
    """Bytes as text."""
    found = ""
    while held:
        try:
            return found + held.decode()
        except UnicodeDecodeError as error:
            found += held[: error.start].decode() + _LETTER
            held = held[error.start + 1 :]
    return found
