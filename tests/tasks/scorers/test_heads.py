"""aesthetic and nsfw: the mean and the largest over the stored frames, and what they say where
there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curate.configs.row_errors import EmbeddingMissing
from curate.configs.settings import Settings
from curate.tasks.aesthetic import Aesthetic
from curate.tasks.models.embeddings import stored, unit
from curate.tasks.nsfw import Nsfw
from curate.tasks.stage import Clip, Context, Video
from curate.worker.outcomes import run_rows
from tests import tiny
from tests.accuracy import oracle

STAGES = (Aesthetic, Nsfw)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both heads, tiny."""
    folder = tmp_path_factory.mktemp("models")
    tiny.write_aesthetic(folder / tiny.AESTHETIC)
    tiny.write_nsfw(folder / tiny.NSFW)
    return folder


def ready(cls: Any, models: Path, **options: Any) -> Any:
    """A stage, loaded."""
    stage = cls(cls.Options(**options), Context(Settings(models=models)))
    stage.load()
    return stage


def clip(
    vectors: NDArray[np.float32], number: int = 1, order: Sequence[int] = (), model: str = tiny.CLIP
) -> Clip:
    """A clip with stored embeddings, their rows in any order."""
    rows = [{"model": model, "frame": n, "position": 0.5, "revision": "r", "vector": stored(v)}
            for n, v in enumerate(vectors)]  # fmt: skip
    tables = {"embeddings": [rows[n] for n in order or range(len(rows))]}
    video = Video(1, 1, "/v.mp4", "v.mp4", {})
    return Clip(number, 1, 0, video, 0, 1, Fraction(1), {}, Path("/none"), tables)


def drawn(seed: int, frames: int, width: int = 768) -> NDArray[np.float32]:
    """Unit vectors."""
    return unit(np.random.RandomState(seed).standard_normal((frames, width)).astype(np.float32))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_mean_and_largest_of_what_the_formula_gives_for_the_stored_frames(
    models: Path, seed: int, frames: int
) -> None:
    vectors = drawn(seed, frames)
    exact = oracle.unit(vectors.astype(np.float16).astype(np.float64))
    aes = ready(Aesthetic, models).score(clip(vectors))["aes"]
    assert aes == pytest.approx(oracle.aesthetic(models / tiny.AESTHETIC, exact).mean(), abs=1e-4)
    unsafe = ready(Nsfw, models).score(clip(vectors))["nsfw_score"]
    assert unsafe == pytest.approx(oracle.nsfw(models / tiny.NSFW, exact).max(), abs=1e-4)


@pytest.mark.parametrize("cls", STAGES)
def test_the_order_of_rows_in_the_table_does_not_matter(cls: Any, models: Path) -> None:
    stage, vectors = ready(cls, models), drawn(3, 3)
    assert stage.score(clip(vectors, order=(2, 0, 1))) == stage.score(clip(vectors))


def test_nsfw_is_1_above_the_threshold_only(models: Path) -> None:
    vectors = drawn(5, 1)
    score = ready(Nsfw, models).score(clip(vectors))["nsfw_score"]
    assert 0 < score < 1
    flags = [
        ready(Nsfw, models, threshold=t).score(clip(vectors))["nsfw"]
        for t in (score - 0.01, score, score + 0.01)
    ]
    assert flags == [1, 0, 0]


@pytest.mark.parametrize("cls", STAGES)
@pytest.mark.parametrize(
    ("row", "words"),
    [
        (clip(drawn(1, 1), model="another"), "there are none"),
        (clip(drawn(1, 2, 512)), "they have 512 numbers"),
    ],
    ids=["another model", "another width"],
)
def test_embeddings_that_the_head_was_not_trained_on(
    cls: Any, row: Clip, words: str, models: Path
) -> None:
    with pytest.raises(EmbeddingMissing, match=words) as error:
        ready(cls, models).score(row)
    assert "curate redo clip_embed" in str(error.value)


@pytest.mark.parametrize("cls", STAGES)
@pytest.mark.parametrize("number", [np.nan, np.inf, 0.0])
def test_a_damaged_embedding_fails_its_clip_and_no_other(
    cls: Any, number: float, models: Path
) -> None:
    damaged = np.full((1, 768), number, np.float32)
    findings = run_rows(ready(cls, models), [clip(damaged, 1), clip(drawn(1, 1), 2)])
    assert {i: kind for i, (kind, _) in findings.failed.items()} == {1: "NotFinite"}
    assert findings.scores.keys() == {2}


@pytest.mark.parametrize("cls", STAGES)
def test_the_head_and_the_model_may_be_others(cls: Any, models: Path, tmp_path: Path) -> None:
    write = tiny.write_aesthetic if cls is Aesthetic else tiny.write_nsfw
    other = write(tmp_path / "head", seed=7)
    vectors = drawn(2, 1)
    found = ready(cls, models, head=str(other), model="mine").score(clip(vectors, model="mine"))
    assert found != ready(cls, models).score(clip(vectors))
    (need,) = cls.models(cls.Options(head=str(other)))
    assert need.model == str(other)
