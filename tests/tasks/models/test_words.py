"""CLIP's tokenizer is made of a list of merges, OpenAI's own among them, or the list is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.configs.errors import BadModel, PackageMissing
from curate.tasks.models import words
from tests import tiny


@pytest.mark.parametrize("name", ["merges.txt", "bpe_simple_vocab_16e6.txt.gz"])
def test_a_tokenizer_made_from_merges_is_the_published_one(tmp_path: Path, name: str) -> None:
    """Also from OpenAI's own file, which has a first line with its version and more merges than are
    used.
    """
    lines = [
        '"bpe_simple_vocab_16e6.txt#version: 0.2',
        *(" ".join(pair) for pair in tiny.merges()),
        "too many",
    ]
    content = "\n".join(lines).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = words.find(tmp_path)
    assert found
    words.write(found, tmp_path / "made.json", 49408)
    tiny.write_tokenizer(tmp_path / "wanted.json")
    assert json.loads((tmp_path / "made.json").read_text()) == json.loads(
        (tmp_path / "wanted.json").read_text()
    )


@pytest.mark.parametrize("content", [b"", b"a b\nc\n", b"\xff\xfe", b"a b\n" * 10])
def test_other_lists_of_merges_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "merges.txt").write_bytes(content)
    with pytest.raises(BadModel, match="merges"):
        words.read_merges(tmp_path / "merges.txt", 100)
    (tmp_path / "merges.txt.gz").write_bytes(content)
    with pytest.raises(BadModel):
        words.read_merges(tmp_path / "merges.txt.gz", 100)
    assert words.find(tmp_path / "none") is None


def test_without_tokenizers_it_says_how_to_install_them(
    hide_package: Callable[[str], None],
) -> None:
    hide_package("tokenizers")
    with pytest.raises(PackageMissing, match=r"pip install 'onnxruntime>=[^ ]+ 'tokenizers>="):
        words.make_tokenizer([])
