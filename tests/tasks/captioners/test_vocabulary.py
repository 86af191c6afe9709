"""Texts become the numbers and texts that SentencePiece makes of them; files that are no models of
its are refused, and harm nothing.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.configs.errors import BadModel, PackageMissing
from curate.tasks.captioners.vocabulary import PieceVocabulary
from tests.accuracy import inputs
from tests.torch_files import field

TEXTS: list[str] = json.loads((inputs.DATA / "texts.json").read_text(encoding="utf-8"))
ODD = [
    "", " ", "  two  spaces ", "\n", "\nDescribe.", "a\tb\r\n\n", "\u2581", "a\u2581b \u2581",
    "aaaaaaaaaaa",
    "abababababab", "<s>", "</s> <0x0A> <unk>", "漢字かな交じり文", "새벽의 바다",
    "👩‍👩‍👧‍👦 🇩🇪 ✋🏽", "e\u0301 \u00e9",
    "\0 a\0", "\ufeffx", "\ud800 lone", "12345 3.14", "Ünïcödé", "שלום עולם", "نص عربي", "ไทย",
    "\U0010ffff",
    "camera pans left, the the the",
]  # fmt: skip


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Texts of many scripts, and odd ones."""
    return [*TEXTS, *ODD]


def trained(folder: Path, **options: Any) -> Path:
    """A model trained as Llama's was, on the texts in Latin letters; others have no pieces of their
    own.
    """
    made = io.BytesIO()
    given = {
        "vocab_size": 700, "character_coverage": 0.98, "split_digits": True, "byte_fallback": True,
        "remove_extra_whitespaces": False, "normalization_rule_name": "identity",
        "model_type": "bpe",
        "num_threads": 1, "minloglevel": 2, "allow_whitespace_only_pieces": True,
    } | options  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS, "aaaa abab aab"]), model_writer=made, **given
    )
    (folder / "tokenizer.model").write_bytes(made.getvalue())
    return folder / "tokenizer.model"


@pytest.fixture(scope="module", params=[530, 700, 900])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few pieces, where most letters are bytes; and many."""
    return trained(tmp_path_factory.mktemp("model"), vocab_size=request.param)


def theirs(file: Path) -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(file))


def test_every_text_has_the_numbers_that_sentencepiece_gives_it(
    file: Path, texts: list[str]
) -> None:
    ours, reference = PieceVocabulary(file), theirs(file)
    assert len(ours) == reference.vocab_size()
    for given_text in texts:
        clean = given_text.encode("utf-8", "replace").decode()
        assert ours.ids(given_text) == reference.encode(clean), given_text


def test_numbers_become_texts_again(file: Path, texts: list[str]) -> None:
    ours, reference = PieceVocabulary(file), theirs(file)
    for given_text in texts:
        clean = given_text.encode("utf-8", "replace").decode()
        assert ours.text(ours.ids(given_text)) == reference.decode(reference.encode(clean)), (
            given_text
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[PieceVocabulary, Any]:
    """Ours and theirs of one model."""
    file = trained(tmp_path_factory.mktemp("model"))
    return PieceVocabulary(file), theirs(file)


LETTERS = st.text(
    st.one_of(st.sampled_from("aabetn  \u2581\n."), st.characters(exclude_categories=["Cs"])),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(LETTERS)
@example("aab" * 9)
def test_any_text(pair: tuple[PieceVocabulary, Any], given_text: str) -> None:
    ours, reference = pair
    assert ours.ids(given_text) == reference.encode(given_text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(1, 699), max_size=30))
@example([3 + 0xE4, 3 + 0xB8, 300, 3 + 0xED, 3 + 0xA0, 3 + 0x80, 1, 3 + 0xFF])
def test_any_numbers(pair: tuple[PieceVocabulary, Any], ids: list[int]) -> None:
    """Also such as no text has: a model may write half a letter. 0 is unknown, which we leave out
    as special.
    """
    ours, reference = pair
    marks = [
        n for n in ids if n not in (1, 2)
    ]  # they are no text; theirs may take one for the beginning
    assert ours.text(marks) == reference.decode(marks)


def test_special_words_are_left_out_of_texts_and_have_numbers(
    pair: tuple[PieceVocabulary, Any],
) -> None:
    ours, _ = pair
    assert (ours.id("<s>"), ours.id("</s>")) == (1, 2)
    assert ours.text([1, *ours.ids("the cat"), 0, 2, 10**6]) == "the cat"
    with pytest.raises(BadModel, match="it does not know <image>"):
        ours.id("<image>")


REFUSED: dict[str, dict[str, Any]] = {
    "unigram": {"model_type": "unigram", "vocab_size": 700}, "no bytes": {"byte_fallback": False},
    "letters changed": {"normalization_rule_name": "nmt_nfkc"},
    "spaces removed": {"remove_extra_whitespaces": True},
    "no space in front": {"add_dummy_prefix": False},
    "spaces behind": {"treat_whitespace_as_suffix": True},
    "pieces of one's own": {"user_defined_symbols": ["<image>"]},
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_models_that_are_used_otherwise_are_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(
        BadModel, match=r"no SentencePiece model of a Llama: (it|a piece of type 4)"
    ):
        PieceVocabulary(trained(tmp_path, **REFUSED[case]))


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"", "cut": lambda b: b[:-5], "text": lambda _: b"no such thing",
    "zip": lambda _: b"PK\3\4" * 20,
    "a piece twice": lambda b: b + field(1, field(1, b"the") + b"\x15" + bytes(4)) * 2,
    "a byte twice": lambda b: b + field(1, field(1, b"<0x41>") + b"\x18\x06"),
    "no text": lambda b: b + field(1, field(1, b"\xff")),
    "half a score": lambda b: b + field(1, field(2, b"\0")),
    "random": lambda _: random.Random(7).randbytes(5000),
    "no pieces": lambda _: field(2, b"\x18\x02"),
    "an empty piece": lambda b: b + field(1, field(1, b"")),
    "a table of letters": lambda b: b + field(3, field(2, b"\xff" * 9)),
    "too large": lambda b: b + bytes(1 << 26),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_refused(case: str, tmp_path: Path) -> None:
    file = trained(tmp_path, vocab_size=530)
    file.write_bytes(DAMAGED[case](file.read_bytes()))
    with pytest.raises(
        BadModel, match=r"tokenizer\.model cannot be used: it is no SentencePiece model"
    ):
        PieceVocabulary(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="No such file"):
        PieceVocabulary(tmp_path / "tokenizer.model")


CUT = """
import random, sys
from pathlib import Path
from curate.configs.errors import BadModel
from curate.tasks.captioners.vocabulary import PieceVocabulary
file, content = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes()
dice = random.Random(3)
for number in range(150):
    damaged = bytearray(content[: dice.randrange(len(content))] if number % 2 else content)
    for _ in range(number % 5):
        damaged[dice.randrange(len(damaged))] = dice.randrange(256)
    file.write_bytes(damaged)
    try:
        vocabulary = PieceVocabulary(file)
        vocabulary.text(vocabulary.ids("the cat, a\u0301 \U0010ffff"))
    except BadModel:
        print("refused")
"""


def test_no_damage_ends_the_process_or_prints(tmp_path: Path) -> None:
    file = trained(tmp_path, vocab_size=530)
    done = subprocess.run(
        [sys.executable, "-c", CUT, str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("refused") > 75


def test_the_package_is_named_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(PackageMissing, match="sentencepiece"):
        PieceVocabulary(tmp_path / "tokenizer.model")
