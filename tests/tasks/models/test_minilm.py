"""all-MiniLM-L6-v2: vectors of texts as transformers computes them on torch.

data/minilm.json was made once by data/make_minilm.py with random weights and with the published
ones; the latter are compared where they are installed (CURATE_MODELS).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from curate.configs.errors import BadModel
from curate.configs.settings import Settings
from curate.tasks.models.minilm import MOST_TOKENS, MiniLm, minilm
from curate.tasks.models.trial import trial
from tests.tasks.small_networks import publish_minilm

pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "minilm.json").read_text())
SENTENCES = json.loads((DATA / "sentences.json").read_text())
PUBLISHED = Path(os.environ.get("CURATE_MODELS", "/none")) / "all-minilm-l6-v2"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MiniLm:
    return minilm(publish_minilm(monkeypatch, tmp_path))


def assert_alike(network: MiniLm, kind: str) -> None:
    """Every 16th number of 20 texts' vectors, and all cosines."""
    wanted = REFERENCE[kind]
    found = [network.embed(text) for text in SENTENCES]
    assert [min(one.tokens, MOST_TOKENS) for one in found] == wanted["tokens"]
    vectors = np.stack([one.vector for one in found])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[:, ::16], wanted["parts"], atol=1e-5)
    cosines = vectors @ vectors.T
    for row, of_row in zip(cosines, wanted["cosines"], strict=True):
        np.testing.assert_allclose(row[: len(of_row)], of_row, atol=1e-5)


def test_the_references_are_of_twenty_texts_of_many_lengths() -> None:
    for wanted in REFERENCE.values():
        assert len(wanted["parts"]) == len(SENTENCES) == 20
        assert min(wanted["tokens"]) < 6 and max(wanted["tokens"]) == MOST_TOKENS
        assert np.ptp([n for row in wanted["cosines"] for n in row]) > 0.5, "they tell texts apart"


def test_random_weights_give_what_transformers_gives(network: MiniLm) -> None:
    assert_alike(network, "random")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published weights are not installed")
def test_published_weights_give_what_transformers_gives() -> None:
    assert_alike(minilm(PUBLISHED), "published")


def test_of_a_long_text_the_first_tokens_and_the_last_mark_are_read(network: MiniLm) -> None:
    whole, longer = (network.embed("a " * count) for count in (254, 9000))
    assert (whole.tokens, longer.tokens) == (256, 9002)
    np.testing.assert_array_equal(whole.vector, longer.vector)
    assert np.abs(network.embed("a " * 253).vector - whole.vector).max() > 1e-4


def test_any_text_has_a_vector(network: MiniLm) -> None:
    for text in ("", "\x00", "\ud800", "\u4e00\U0001f600", "a" * 5000):
        found = network.embed(text)
        assert found.vector.shape == (48,) and np.isfinite(found.vector).all()


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = publish_minilm(monkeypatch, tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(BadModel, match=r"tokenizer\.json.*SHA-256 is not that of the published"):
        minilm(folder)


def test_models_check_runs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = publish_minilm(monkeypatch, tmp_path)
    measured = trial("minilm", folder, Settings(home=tmp_path))
    assert measured["device"] == "ONNX Runtime, a text"
