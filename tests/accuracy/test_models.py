"""The networks give what PyTorch gave, on MindSpore's CPU target and on ONNX Runtime, without
torch or a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import tiny
from tests.accuracy import inputs, oracle
from tests.accuracy.compare import Compare, arrays
from tests.accuracy.run_models import BATCHES, alone

pytestmark = pytest.mark.accuracy
References = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="module")
def found(cases: Mapping[str, str]) -> References:
    """What the networks found, by name."""
    return arrays(cases["models"])


@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("engine", ["", ", ONNX,"])
def test_image_features(
    engine: str, batches: str, found: References, references: References, compare: Compare
) -> None:
    features = found[f"image{engine} {batches}"]
    assert features.dtype == np.float32
    compare(f"CLIP image features{engine} {batches}", features, references["image_f64"])


def test_unit_image_features(found: References, references: References, compare: Compare) -> None:
    units = oracle.unit(found["image all at once"])
    compare("CLIP unit image features", units, oracle.unit(references["image_f64"]))


@pytest.mark.parametrize("engine", ["", ", ONNX"])
def test_text_features(
    engine: str, found: References, references: References, compare: Compare
) -> None:
    assert found[f"text{engine}"].dtype == np.float32
    compare(f"CLIP text features{engine}", found[f"text{engine}"], references["text_f64"])


@pytest.mark.parametrize("names", [("image", "text"), ("image, ONNX,", "text, ONNX")])
def test_logits(
    names: tuple[str, str], found: References, references: References, compare: Compare
) -> None:
    """100 times the cosine; float32 products as the stages form them."""
    image, text = (oracle.unit(found[name]) for name in (f"{names[0]} all at once", names[1]))
    assert image.dtype == text.dtype == np.float32
    compare(
        f"CLIP logits (match, option_match), {names[1]}",
        found["logit_scale"] * (image @ text.T),
        references["logits_f64"],
    )


def test_logit_scale(found: References, facts: Mapping[str, Any]) -> None:
    assert found["logit_scale"] == found["logit_scale, ONNX"]
    assert float(found["logit_scale"]) == pytest.approx(facts["logit_scale, f32"], rel=1e-6)


def test_text_features_are_those_of_the_end_however_a_config_names_it(found: References) -> None:
    """eos_token_id is 2 in OpenAI's configs (it means the largest id) and 49407 in later ones."""
    for engine in ("text", "text, ONNX"):
        np.testing.assert_array_equal(found[f"{engine}, other end"], found[engine])


@pytest.mark.parametrize(
    ("key", "name"), [("lpips", "LPIPS (VGG16)"), ("lpips, ONNX", "LPIPS on ONNX Runtime")]
)
def test_lpips(
    key: str, name: str, found: References, references: References, compare: Compare
) -> None:
    compare(name, found[key], references["lpips_f64"])
    assert found[key][5] == 0, "a frame is no distance from itself"


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
    from curate.tasks.models.heads import aesthetic_head, nsfw_head

    made = (
        aesthetic_head(models / tiny.AESTHETIC)
        if head == "aesthetic"
        else nsfw_head(models / tiny.NSFW)
    )
    scores = made.score(inputs.unit_embeddings())
    assert scores.dtype == np.float32
    compare(f"{head} head", scores, references[f"{head}_f64"])
