"""Stages write the scores that the references give for the very frames that split stored of a drawn
video.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curate.configs.settings import Settings
from curate.tasks.video.samples import Samples
from tests import tiny
from tests.accuracy import oracle
from tests.accuracy.compare import Compare, arrays
from tests.accuracy.run_stages import OPTIONS, SIDE

pytestmark = pytest.mark.accuracy
POINTS = (0.1, 0.5, 0.9)
CLIPS = 3
Found = Mapping[str, NDArray[Any]]
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def found(cases: Mapping[str, str]) -> Found:
    """What the stages found."""
    return arrays(cases["stages"])


@pytest.fixture(scope="module")
def samples(cases: Mapping[str, str]) -> list[Samples]:
    """The samples of each clip."""
    return [
        Samples.open(Settings(home=Path(cases["home"])).samples, 1, index) for index in range(CLIPS)
    ]


@pytest.fixture(scope="module")
def exact(samples: list[Samples], models: Path) -> Array:
    """Embeddings of unit length by the oracle, of the frames at the points, (clips, 3, 768)."""
    frames = [oracle.pixels(clip.at(point)) for clip in samples for point in POINTS]
    return oracle.unit(oracle.image_features(models / tiny.CLIP, np.stack(frames))).reshape(
        CLIPS, 3, -1
    )


@pytest.fixture(scope="module")
def stored(found: Found) -> Array:
    """The stored embeddings, of unit length again."""
    return oracle.unit(found["vectors"].astype(np.float64))


def text(models: Path, tokens: NDArray[Any]) -> Array:
    """Unit embeddings of texts."""
    return oracle.unit(oracle.text_features(models / tiny.CLIP, tokens))


def test_embeddings_are_of_the_frames_at_the_points(
    found: Found, exact: Array, compare: Compare
) -> None:
    """float16 moves an entry by 6e-5 at most here, and a vector by 3e-4 of its length."""
    assert found["vectors"].shape == (CLIPS, 3, 768) and (found["positions"] == POINTS).all()
    compare("stage clip_embed, stored in float16", found["vectors"].astype(np.float64), exact, 5e-4)
    neighbours = np.linalg.norm(exact[:, 0] - exact[:, 2], axis=1)
    assert neighbours.min() > 1e-2, "another frame would be noticed"


def test_option_scores_are_largest_over_the_frames(
    found: Found, models: Path, stored: Array, exact: Array, compare: Compare
) -> None:
    texts = oracle.logit_scale(models / tiny.CLIP) * text(models, found["option_tokens"])
    compare(
        "stage option_match, option_scores", found["option_scores"], (stored @ texts.T).max(axis=1)
    )
    compare(
        "  against unrounded embeddings",
        found["option_scores"],
        (exact @ texts.T).max(axis=1),
        1e-2,
    )
    assert np.ptp(found["option_scores"]) > 1


def test_the_best_option_is_named(found: Found) -> None:
    np.testing.assert_array_equal(found["match_option"], found["option_scores"].max(axis=1))
    assert [*found["option"]] == [OPTIONS[i] for i in found["option_scores"].argmax(axis=1)]


def test_match_is_of_each_clips_own_text(
    found: Found, models: Path, stored: Array, exact: Array, compare: Compare
) -> None:
    texts = oracle.logit_scale(models / tiny.CLIP) * text(models, found["text_tokens"])
    compare("stage match", found["match"], np.einsum("cfd,cd->cf", stored, texts).max(axis=1))
    compare(
        "  against unrounded embeddings",
        found["match"],
        np.einsum("cfd,cd->cf", exact, texts).max(axis=1),
        1e-2,
    )


def test_aes_is_the_mean_over_the_frames(
    found: Found, models: Path, stored: Array, exact: Array, compare: Compare
) -> None:
    of_stored, of_exact = (
        oracle.aesthetic(models / tiny.AESTHETIC, rows.reshape(-1, 768)).reshape(CLIPS, 3)
        for rows in (stored, exact)
    )
    compare("stage aesthetic", found["aes"], of_stored.mean(axis=1))
    compare("  against unrounded embeddings", found["aes"], of_exact.mean(axis=1), 2e-3)
    assert np.abs(of_stored.max(axis=1) - found["aes"]).min() > 1e-3, "the largest would be noticed"


def test_nsfw_is_the_largest_over_the_frames(
    found: Found, models: Path, stored: Array, exact: Array, compare: Compare
) -> None:
    of_stored, of_exact = (
        oracle.nsfw(models / tiny.NSFW, rows.reshape(-1, 768)).reshape(CLIPS, 3)
        for rows in (stored, exact)
    )
    compare("stage nsfw", found["nsfw_score"], of_stored.max(axis=1))
    compare("  against unrounded embeddings", found["nsfw_score"], of_exact.max(axis=1), 2e-3)
    np.testing.assert_array_equal(found["nsfw"], of_stored.max(axis=1) > 0.2)


def test_lpips_is_weighted_by_time(
    found: Found, samples: list[Samples], models: Path, compare: Compare
) -> None:
    compare(
        "stage lpips", found["lpips"], [over_time(clip, models / tiny.LPIPS) for clip in samples]
    )


def over_time(clip: Samples, folder: Path) -> float:
    """The sum of distances times gaps over the sum of gaps, of the regular frames made square."""
    from PIL import Image

    squares = [
        np.asarray(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for frame in clip.frames()
    ]
    assert len(squares) > 1
    distances = [oracle.lpips(folder, a, b) for a, b in itertools.pairwise(squares)]
    return float(np.average(distances, weights=np.diff(clip.times)))
