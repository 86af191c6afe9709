"""Text generation: a language model continues the beginnings of texts, token by token."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.tasks.captioners.language_model import Decoder, Floats, Ints


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: the best one, or a random one at a temperature above 0.

    `top_k` keeps at most that many tokens (0: all), `top_p` the likeliest of them that together
    reach this probability. Each row has its own random stream that starts from `seed`, so the
    result does not depend on the batch.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0:
            raise ValueError("temperature and top_k must be 0 or more, top_p above 0 and at most 1")


GREEDY = Sampling()


@dataclass(frozen=True)
class Beginning:
    """The beginning of a text: embeddings (n, width) and positions (axes, n) of its tokens.

    Also the position that follows, `ids`, its tokens, for models that avoid repeating them, and
    additions, each (n, width), for models that show frames to the states after their first layers.
    """

    embedded: Floats
    positions: Ints
    next_position: int
    ids: Sequence[int] = ()
    additions: Sequence[Floats] = ()


def write(
    decoder: Decoder,
    beginnings: Sequence[Beginning],
    max_new_tokens: int,
    end_ids: Collection[int],
    sampling: Sampling = GREEDY,
    repetition_penalty: float = 1.0,
) -> list[list[int]]:
    """The tokens added to each beginning, at most `max_new_tokens`, without the end mark.

    Raises FloatingPointError if the model's scores are NaN or infinite.
    """
    if max_new_tokens < 1:
        raise ValueError("max_new_tokens must be 1 or more")
    state, scores = decoder.start(
        [b.embedded for b in beginnings],
        [b.positions for b in beginnings],
        [b.additions for b in beginnings],
    )
    random = [np.random.default_rng(sampling.seed) for _ in beginnings]
    written: list[list[int]] = [[] for _ in beginnings]
    used = [set(b.ids) for b in beginnings]
    done = [False] * len(beginnings)
    axes = len(beginnings[0].positions)
    positions = np.array([[b.next_position for b in beginnings]] * axes, np.int64)
    for number in range(max_new_tokens):
        # a finished row continues with an arbitrary token: rows do not affect each other
        next_ids = [0] * len(beginnings)
        for row, row_scores in enumerate(scores):
            if done[row]:
                continue
            if not np.isfinite(row_scores).all():
                raise FloatingPointError("the scores of words are NaN or infinite")
            row_scores = penalised(row_scores, used[row], repetition_penalty)
            next_ids[row] = choose_token(row_scores, sampling, random[row])
            done[row] = next_ids[row] in end_ids
            if not done[row]:
                written[row].append(next_ids[row])
                used[row].add(next_ids[row])
        if all(done) or number + 1 == max_new_tokens:
            break
        scores = decoder.go_on(state, next_ids, positions)
        positions = positions + 1
    return written


def penalised(scores: Floats, used: Collection[int], penalty: float) -> Floats:
    """Scores in which the tokens in `used` are less likely.

    Scores of 0 or more are divided by the penalty, negative ones multiplied by it.
    """
    if penalty == 1 or not used:
        return scores
    worse, ids = scores.copy(), np.fromiter(used, np.int64)
    worse[ids] = np.where(scores[ids] < 0, scores[ids] * penalty, scores[ids] / penalty)
    return worse


def choose_token(scores: Floats, sampling: Sampling, random: np.random.Generator) -> int:
    """The next token, chosen by the scores (vocabulary,)."""
    if not sampling.temperature:
        return int(scores.argmax())
    likely = probabilities(scores, sampling)
    return int(random.choice(len(likely), p=likely))


def probabilities(scores: Floats, sampling: Sampling) -> NDArray[np.float64]:
    """The probability of each token: softmax over the temperature, cut by top_k, then by top_p."""
    scaled = scores.astype(np.float64) / sampling.temperature
    order = np.argsort(-scaled, kind="stable")
    likely: NDArray[np.float64] = np.exp(scaled - scaled[order[0]])
    if sampling.top_k:
        likely[order[sampling.top_k :]] = 0
    likely /= likely.sum()
    before = np.cumsum(likely[order]) - likely[order]
    likely[order[before >= sampling.top_p]] = 0
    likely /= likely.sum()
    return likely
