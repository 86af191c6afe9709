"""How the next word is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curate.tasks.captioners.writing import GREEDY, Sampling, choose_token, penalised, probabilities

SCORES = arrays(np.float32, 12, elements=st.floats(-20, 20, width=32))


@given(SCORES)
def test_greedy_takes_the_best(scores: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    assert choose_token(scores, GREEDY, np.random.default_rng(0)) == int(scores.argmax())


@given(SCORES, st.floats(0.1, 5), st.floats(0.05, 1), st.integers(0, 12))
def test_what_is_drawn_is_likely(
    scores: np.ndarray[tuple[int], np.dtype[np.float32]],
    temperature: float,
    top_p: float,
    top_k: int,
) -> None:
    """Never less than the best; no more than top_k; enough for top_p, and not one without need."""
    likely = probabilities(scores, Sampling(temperature, top_p, top_k))
    assert likely.sum() == pytest.approx(1)
    assert likely[scores.argmax()] == likely.max()
    assert 1 <= (likely > 0).sum() <= (top_k or 12)
    if top_k == 0:
        whole = np.exp((scores - scores.max()).astype(np.float64) / temperature)
        whole /= whole.sum()
        kept = whole[likely > 0]
        assert kept.sum() >= top_p - 1e-9
        assert kept.sum() - kept.min() < top_p + 1e-9


def test_a_penalty_makes_words_worse_that_were_said() -> None:
    scores = np.array([2.0, -2.0, 3.0], np.float32)
    assert penalised(scores, {0, 1}, 2.0).tolist() == [1.0, -4.0, 3.0]
    assert scores.tolist() == [2.0, -2.0, 3.0]
    assert penalised(scores, {0}, 1.0) is scores


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}]
)
def test_a_sampling_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="temperature and top_k"):
        Sampling(**wrong)  # type: ignore[arg-type]
