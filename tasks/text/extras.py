"""Adds camera motion, scores or a text to the end of a caption."""

from __future__ import annotations

import random
from collections.abc import Sequence

MOTIONS = {
    "static": "static",
    "pan_left": "pan left",
    "pan_right": "pan right",
    "zoom_in": "zoom in",
    "zoom_out": "zoom out",
    "tilt_up": "tilt up",
    "tilt_down": "tilt down",
    "roll": "roll",
    "handheld": "handheld",
}


def with_motion(text: str, label: str | None) -> str:
    """The text with " Camera motion: X." added; unchanged for a label that is not in MOTIONS."""
    motion = MOTIONS.get((label or "").strip().lower())
    return text if motion is None else f"{text} Camera motion: {motion}.".strip()


def with_scores(
    text: str, scores: Sequence[tuple[str, float | None]], key: str, share: float = 0.8
) -> str:
    """The text with its named scores added, such as " [aesthetic score: 5.1, motion score: 2.0]".

    A score that is None is left out, and each other one at random, with the probability 1 - share.
    The same key gives the same choice in any process and on any host.
    """
    formatted = []
    for name, value in scores:
        # Random seeds itself with the SHA-512 of a text
        if value is not None and random.Random(f"{key}:{name}").random() < share:  # noqa: S311
            formatted.append(f"{name}: {value:.1f}")
    return f"{text} [{', '.join(formatted)}]".strip() if formatted else text


def with_text(text: str, added: str) -> str:
    """The text with another text added after a space."""
    return f"{text} {added.strip()}".strip() if added.strip() else text
