"""The rules by which Panda-70M stitches shots to events, for features of any embedder.

Distances are Euclidean. The published ones are of ImageBind-huge: 1024 numbers of length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Feature = NDArray[np.floating[Any]]


class Shot(NamedTuple):
    """Frames from `start` up to `end`, with the features of `feature_frames`; None: unreadable."""

    start: int
    end: int
    first: Feature | None
    last: Feature | None


class Event(NamedTuple):
    """Frames from `start` up to `end`, and the mean of the features of its shots."""

    start: int
    end: int
    feature: Feature


@dataclass(frozen=True)
class PandaRules:
    """Thresholds, in distances of features, seconds and a share. The defaults are those of Panda's
    code; PUBLISHED are those of the data set that they published.
    """

    transition: float = 1.0  # a shot whose two features are further apart is a transition
    join: float = 0.6  # a shot goes on with the event before it up to this distance
    shortest: float = 2.0
    still: float = 0.15  # an event whose ends are nearer than this shows nothing new
    redundant: float = 0.0  # one that is nearer than this to an earlier event repeats it
    longest: float = 1200.0
    trim: float = 0.0  # share of the length that is taken away at each end


PUBLISHED = PandaRules(shortest=2.5, redundant=0.3, longest=60.0, trim=0.1)


def feature_frames(start: int, end: int) -> tuple[int, int]:
    """The frames of a shot that features are taken of: at 5 % and 95 % of it.

    Rounded down in floats as Panda does, so of a shot of few frames it may be the one before it.
    """
    return int(0.95 * start + 0.05 * (end - 1)), int(0.05 * start + 0.95 * (end - 1))


def stitch_shots(shots: Sequence[Shot], fps: float, rules: PandaRules | None = None) -> list[Event]:
    """The events of a video, in order; `shots` are in order, `fps` is their frames a second.

    1. Shots with an unreadable frame, and transitions, are dropped.
    2. A shot that begins where an event ends joins it when it is near enough to its last feature.
    3. Events are dropped that are too short, still, or repeat an earlier one that was not dropped.
    4. What is over the longest is cut off, and then each end is trimmed.
    """
    rules = rules or PandaRules()
    joined: list[tuple[int, int, list[Feature]]] = []
    for start, end, first, last in shots:
        if first is None or last is None or _distance(first, last) > rules.transition:
            continue
        if joined and joined[-1][1] == start:
            begin, _, features = joined[-1]
            if _distance(features[-1], first) <= rules.join:
                joined[-1] = begin, end, [*features, first, last]
                continue
        joined.append((start, end, [first, last]))
    events: list[Event] = []
    for start, end, features in joined:
        if end - start < rules.shortest * fps or _distance(features[0], features[-1]) < rules.still:
            continue
        mean = np.mean(features, axis=0)
        if any(_distance(event.feature, mean) < rules.redundant for event in events):
            continue
        length = min(int(rules.longest * fps), end - start)
        cut = int(rules.trim * length)
        events.append(Event(start + cut, start + length - cut, mean))
    return events


def _distance(one: Feature, other: Feature) -> float:
    return float(np.linalg.norm(one - other))
