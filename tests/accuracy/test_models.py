"""The networks on MindSpore give what PyTorch gave, on the CPU target and without torch or a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import tiny
from tests.accuracy import inputs, oracle
from tests.accuracy.compare import Compare
from tests.accuracy.run_models import BATCHES, alone

pytestmark = pytest.mark.accuracy
References = Mapping[str, NDArray[Any]]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def found(models: Path, tmp_path_factory: pytest.TempPathFactory) -> References:
    """What the towers found, by name."""
    return run(models, tmp_path_factory.mktemp("towers") / "found.npz", "images", "texts")


@pytest.fixture(scope="module")
def distances(models: Path, tmp_path_factory: pytest.TempPathFactory) -> NDArray[Any]:
    """What LPIPS found for each pair."""
    return run(models, tmp_path_factory.mktemp("lpips") / "found.npz", "distances")["lpips"]


def run(models: Path, result: Path, *parts: str) -> References:
    """What a process of run_models wrote."""
    command = [sys.executable, "-m", "tests.accuracy.run_models", str(models), str(result), *parts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    with np.load(result, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize("batches", BATCHES)
def test_image_features(batches: str, found: References, references: References, compare: Compare) -> None:
    assert found[f"image {batches}"].dtype == np.float32
    compare(f"CLIP image features, {batches}", found[f"image {batches}"], references["image_f64"])


def test_unit_image_features(found: References, references: References, compare: Compare) -> None:
    units = oracle.unit(found["image all at once"])
    compare("CLIP unit image features", units, oracle.unit(references["image_f64"]))


def test_text_features(found: References, references: References, compare: Compare) -> None:
    assert found["text"].dtype == np.float32
    compare("CLIP text features", found["text"], references["text_f64"])


def test_logits(found: References, references: References, compare: Compare) -> None:
    """100 times the cosine; float32 products as the stages form them."""
    image, text = (oracle.unit(found[name]) for name in ("image all at once", "text"))
    assert image.dtype == text.dtype == np.float32
    compare("CLIP logits (match, option_match)", found["logit_scale"] * (image @ text.T), references["logits_f64"])


def test_logit_scale(found: References, facts: Mapping[str, Any]) -> None:
    assert float(found["logit_scale"]) == pytest.approx(facts["logit_scale, f32"], rel=1e-6)


def test_lpips(distances: NDArray[Any], references: References, compare: Compare) -> None:
    compare("LPIPS (VGG16)", distances, references["lpips_f64"])
    assert distances[5] == 0, "a frame is no distance from itself"


def test_the_networks_ran_without_network_and_torch() -> None:
    """What the process above runs under refuses both, and nothing else."""
    with pytest.raises(PermissionError):
        alone("socket.connect", (None, ("192.0.2.1", 443)))
    with pytest.raises(PermissionError):
        alone("socket.getaddrinfo", ("huggingface.co", 443))
    with pytest.raises(ImportError):
        alone("import", ("torch.nn",))
    alone("socket.connect", (None, "/run/redis.sock"))
    alone("import", ("mindspore", None))


@pytest.mark.parametrize("head", ["aesthetic", "nsfw"])
def test_heads(head: str, models: Path, references: References, compare: Compare) -> None:
    from curate.tasks.models.heads import Aesthetic, Nsfw

    made = Aesthetic.load(models / tiny.AESTHETIC) if head == "aesthetic" else Nsfw.load(models / tiny.NSFW)
    scores = made.score(inputs.unit_embeddings())
    assert scores.dtype == np.float32
    compare(f"{head} head", scores, references[f"{head}_f64"])
