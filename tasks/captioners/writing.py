"""Writing: from the beginnings of texts to what a model adds, word by word."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.tasks.captioners.language import Decoder, Floats, Ints


@dataclass(frozen=True)
class Sampling:
    """How the next word is chosen: the best one, or with a temperature above 0 drawn among the
    better ones.

    `top_k` words at most (0: all), and of them the likeliest that together have the probability
    `top_p`. Every row has a random stream of its own that starts from `seed`, so what is drawn does
    not depend on the batch.
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
    """The beginning of a text: embeddings (n, width), places (axes, n) of its words, and the first
    place after it.

    `ids` are its words, for models that avoid saying them again.
    """

    embedded: Floats
    places: Ints
    after: int
    ids: Sequence[int] = ()


def write(
    decoder: Decoder,
    beginnings: Sequence[Beginning],
    max_new_tokens: int,
    ends: Collection[int],
    sampling: Sampling = GREEDY,
    repetition_penalty: float = 1.0,
) -> list[list[int]]:
    """The words added to each beginning, up to an end mark, which is left out, or to
    `max_new_tokens`.

    Raises FloatingPointError when the model gives numbers that are none, of which no word follows.
    """
    if max_new_tokens < 1:
        raise ValueError("max_new_tokens must be 1 or more")
    context, scores = decoder.start(
        [b.embedded for b in beginnings], [b.places for b in beginnings]
    )
    draws = [np.random.default_rng(sampling.seed) for _ in beginnings]
    written: list[list[int]] = [[] for _ in beginnings]
    said = [set(b.ids) for b in beginnings]
    done = [False] * len(beginnings)
    next_places = np.array([[b.after for b in beginnings]] * len(beginnings[0].places), np.int64)
    for number in range(max_new_tokens):
        words = [0] * len(
            beginnings
        )  # a row that is done goes on with anything: rows do not see each other
        for row, of_row in enumerate(scores):
            if done[row]:
                continue
            if not np.isfinite(of_row).all():
                raise FloatingPointError("the scores of words are NaN or infinite")
            words[row] = chosen(
                penalised(of_row, said[row], repetition_penalty), sampling, draws[row]
            )
            done[row] = words[row] in ends
            if not done[row]:
                written[row].append(words[row])
                said[row].add(words[row])
        if all(done) or number + 1 == max_new_tokens:
            break
        scores = decoder.go_on(context, words, next_places)
        next_places = next_places + 1
    return written


def penalised(scores: Floats, said: Collection[int], penalty: float) -> Floats:
    """Scores with those of words said before made worse: divided by the penalty, or multiplied
    where below 0.
    """
    if penalty == 1 or not said:
        return scores
    found, ids = scores.copy(), np.fromiter(said, np.int64)
    found[ids] = np.where(scores[ids] < 0, scores[ids] * penalty, scores[ids] / penalty)
    return found


def chosen(scores: Floats, sampling: Sampling, draw: np.random.Generator) -> int:
    """The next word."""
    if not sampling.temperature:
        return int(scores.argmax())
    likely = probabilities(scores, sampling)
    return int(draw.choice(len(likely), p=likely))


def probabilities(scores: Floats, sampling: Sampling) -> NDArray[np.float64]:
    """What each word is drawn with: softmax over the temperature, cut by top_k, then by top_p."""
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
