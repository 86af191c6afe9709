"""The NumPy networks that other tests compare with are the reference implementations' networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import tiny
from tests.accuracy import inputs, oracle
from tests.accuracy.compare import Compare, differences

pytestmark = pytest.mark.accuracy
References = Mapping[str, NDArray[Any]]
EXACT = (
    5e-6  # transformers takes the softmax of attention in float32 even where all else is float64
)


def test_image_features(models: Path, references: References, compare: Compare) -> None:
    found = oracle.image_features(models / tiny.CLIP, inputs.pixels())
    compare("oracle: image features", found, references["image_f64"], EXACT)


def test_text_features(models: Path, references: References, compare: Compare) -> None:
    found = oracle.text_features(models / tiny.CLIP, references["tokens_fast"][::5])
    compare("oracle: text features", found, references["text_f64"], EXACT)


def test_logits(
    models: Path, references: References, facts: Mapping[str, Any], compare: Compare
) -> None:
    units = [oracle.unit(references[f"{kind}_f64"]) for kind in ("image", "text")]
    compare(
        "oracle: logits",
        oracle.logit_scale(models / tiny.CLIP) * units[0] @ units[1].T,
        references["logits_f64"],
        EXACT,
    )
    assert oracle.logit_scale(models / tiny.CLIP) == pytest.approx(
        facts["logit_scale, f64"], rel=1e-12
    )


@pytest.mark.parametrize("head", ["aesthetic", "nsfw"])
def test_heads(head: str, models: Path, references: References, compare: Compare) -> None:
    folder = models / {"aesthetic": tiny.AESTHETIC, "nsfw": tiny.NSFW}[head]
    found = getattr(oracle, head)(folder, inputs.unit_embeddings().astype(np.float64))
    compare(
        f"oracle: {head}", found, references[f"{head}_f64"], 1e-8
    )  # the reference adds 1e-10 to a deviation


def test_lpips(
    models: Path, references: References, photos: dict[str, inputs.Image], compare: Compare
) -> None:
    pairs = inputs.pairs(photos)[:4]  # those of 224 x 224 take seconds here
    found = [oracle.lpips(models / tiny.LPIPS, a, b) for a, b in pairs]
    compare(
        "oracle: LPIPS", found, references["lpips_f64"][:4], 1e-7
    )  # the package's constants are float32


@pytest.mark.parametrize("number", range(len(inputs.SIZES)))
def test_preprocessing(
    number: int, references: References, photos: dict[str, inputs.Image], compare: Compare
) -> None:
    name, height, width = inputs.SIZES[number]
    found = oracle.pixels(inputs.sized(photos[name], height, width))
    compare(
        f"oracle: pixels of {height} x {width}",
        found[:, ::16, ::16],
        references[f"photo_{number}_sample"],
        1e-5,
    )
    compare("  sums of its rows", found.sum(axis=2), references[f"photo_{number}_rows"], 1e-4)
    compare("  sums of its columns", found.sum(axis=1), references[f"photo_{number}_columns"], 1e-4)


def test_the_references_tell_inputs_apart(references: References) -> None:
    """A constant output would be near no reference: cosines between inputs and scores are well
    spread.
    """
    for kind in ("image", "text"):
        units = oracle.unit(references[f"{kind}_f64"])
        cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
        assert cosines.max() < 0.999 and cosines.std() > 0.05
    assert references["aesthetic_f64"].std() > 0.3
    assert (
        references["nsfw_f64"].std() > 0.1
        and 0 < references["nsfw_f64"].min() < references["nsfw_f64"].max() < 1
    )
    assert references["lpips_f64"][5] == 0 < references["lpips_f64"][:5].min()


def test_a_difference_is_found_where_there_is_one() -> None:
    assert differences([1.0, 2.0], [1.0, 2.0]) == (0, 0)
    assert differences([[3.0, 4.0], [0.0, 1.0]], [[3.0, 4.5], [0.0, 1.0]]) == pytest.approx(
        (0.5, 0.5 / 29.25**0.5)
    )
    assert differences([0.0, 1.5], [0.0, 1.0]) == (0.5, 0.5)
    with pytest.raises(AssertionError):
        differences([np.nan], [1.0])
    with pytest.raises(AssertionError, match=r"1\.0e-03"):
        Compare([])("a score", [1.001], [1.0])
