"""Makes CLIP's tokenizer from its list of merges, for weights that come without a tokenizer.

OpenAI published the merges as bpe_simple_vocab_16e6.txt.gz, Hugging Face as merges.txt; both have
the same lines, best merge first, usually after a line with the version. They determine the
vocabulary: 256 bytes, 256 bytes at the end of a word, one token per merge, and the start and end
marks of a text.
"""

from __future__ import annotations

import gzip
import importlib
import shutil
import zlib
from pathlib import Path
from typing import Any

from curate.configs.errors import BadModel
from curate.tasks.models.tokenizer_file import check_tokenizers

ENDS = ("<|startoftext|>", "<|endoftext|>")
FIXED = 2 * 256 + len(ENDS)  # tokens that do not come from merges
_LARGEST = 16 << 20  # bytes
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_FOLDER_NAMES = ("tokenizer.json", "merges.txt", "bpe_simple_vocab_16e6.txt.gz")


def find(path: Path) -> Path | None:
    """The tokenizer or merges file at a path, or the best one in a folder; None if none exists."""
    if path.is_file():
        return path
    return next((path / name for name in _FOLDER_NAMES if (path / name).is_file()), None)


def write(source: Path, target: Path, vocabulary: int) -> None:
    """Write tokenizer.json to `target`: a copy, or made from merges for `vocabulary` tokens.

    Raises BadModel.
    """
    if source.suffix == ".json":
        shutil.copyfile(source, target)
    else:
        make_tokenizer(read_merges(source, vocabulary - FIXED)).save(str(target))


def read_merges(source: Path, count: int) -> list[tuple[str, str]]:
    """The first `count` merges of a file. Raises BadModel if it has fewer, or invalid lines."""
    try:
        with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as opened:
            lines = opened.read(_LARGEST).decode("utf-8").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadModel(path=source, why=f"it is no list of merges: {error}") from None
    first = 1 if lines and "#version" in lines[0] else 0
    cut = (line.partition(" ") for line in lines[first : first + max(count, 0)])
    merges = [(left, right) for left, _, right in cut if left and right]
    if count < 0 or len(merges) != count:
        why = f"it holds {len(merges)} merges, and the vocabulary needs {count}"
        raise BadModel(path=source, why=why)
    return merges


def vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """The ids of CLIP's tokens, which follow from its merges."""
    # a printable character for each byte: printable bytes represent themselves and come first
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(n) for n in (*printable, *range(256, 512 - len(printable)))]
    ends_of_words = [f"{letter}</w>" for letter in letters]
    words = [*letters, *ends_of_words, *(left + right for left, right in merges), *ENDS]
    return {word: number for number, word in enumerate(words)}


def make_tokenizer(merges: list[tuple[str, str]]) -> Any:
    """A `tokenizers.Tokenizer` equal to that of openai/clip-vit-large-patch14.

    NFC, runs of blanks to one, lower case, CLIP's words, bytes, merges, marks. Raises
    PackageMissing.
    """
    check_tokenizers("Making a tokenizer")
    package = importlib.import_module("tokenizers")
    before, normal = package.pre_tokenizers, package.normalizers
    words = vocabulary(merges)
    start, end = ((token, words[token]) for token in ENDS)
    tokenizer = package.Tokenizer(
        package.models.BPE(
            words,
            merges,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            unk_token=ENDS[1],
        )
    )
    tokenizer.normalizer = normal.Sequence(
        [normal.NFC(), normal.Replace(package.Regex(r"\s+"), " "), normal.Lowercase()]
    )
    split = before.Split(package.Regex(_WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = before.Sequence([split, before.ByteLevel(add_prefix_space=False)])
    tokenizer.post_processor = package.processors.RobertaProcessing(
        sep=end, cls=start, trim_offsets=False, add_prefix_space=False
    )
    tokenizer.decoder = package.decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [package.AddedToken(token, normalized=True, special=True) for token in ENDS]
    )
    return tokenizer
