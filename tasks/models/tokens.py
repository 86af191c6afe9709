"""CLIP's tokenizer, read from the model's folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import BadModel, CurateError
from curate.tasks.models import words
from curate.tasks.models.tokenizer_file import check_tokenizers, read_tokenizer

END = "<|endoftext|>"


class Tokens:
    """Encodes texts as tokens.

    `known` is how many tokens the weights have; None: whatever there are. Raises PackageMissing;
    BadModel if the folder holds no tokenizer of CLIP's, or that of a larger one.
    """

    def __init__(self, folder: Path, known: int | None = None) -> None:
        check_tokenizers("CLIP's text tower")
        whole = folder / "tokenizer.json"
        try:
            if whole.is_file():
                self._tokenizer = read_tokenizer(whole)
            else:
                vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
                merges = words.read_merges(folder / "merges.txt", len(vocabulary) - words.FIXED)
                if vocabulary != words.vocabulary(merges):
                    why = "its numbers are not those that follow from merges.txt"
                    raise BadModel(path=folder / "vocab.json", why=why)
                self._tokenizer = words.make_tokenizer(merges)
        except CurateError:
            raise
        except OSError as error:
            raise BadModel(path=whole, why=error.strerror or str(error)) from error
        except Exception as error:  # tokenizers raises nothing more precise
            raise BadModel(path=whole, why=f"it is no tokenizer: {str(error)[:200]}") from error
        end = self._tokenizer.token_to_id(END)
        if end is None:
            raise BadModel(path=folder, why=f"its tokenizer has no {END}")
        if known is not None and end >= known:
            why = f"its tokenizer gives {END} the number {end}, and its weights have {known} tokens"
            raise BadModel(path=folder, why=why)

    def encode(self, texts: Sequence[str], length: int = 77) -> NDArray[np.int32]:
        """Tokens (n, length) with start and end marks; a longer text is cut but keeps its end mark.

        Padded with 0, as OpenAI does: CLIP reads nothing after the first end mark. The end mark is
        then the only largest number of a row, which is what mindone looks for.
        """
        self._tokenizer.enable_truncation(length)
        encoded = self._tokenizer.encode_batch(
            [text.encode("utf-8", "replace").decode() for text in texts]
        )
        tokens = np.zeros((len(texts), length), np.int32)
        for row, encoding in zip(tokens, encoded, strict=True):
            row[: len(encoding.ids)] = encoding.ids
        return tokens
