"""How much moves, how dark and how sharp the pictures are: the stage `motion`. Opens no video."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from curate.configs.schema import Column
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions

if TYPE_CHECKING:
    from curate.tasks.video.measures import Pair, Still

UNCHANGED = 0.5  # mean change of the luma (0 to 255) below which it is encoding noise
DARK = 32.0  # luma (0 to 255) below which a picture counts as black


class Motion(Scorer["Motion.Options"]):
    """Optical flow, standstill, blackness and sharpness, from the measures that split took."""

    name = "motion"
    form = 2
    columns = {
        "flow": Column(
            "float",
            "100 * mean |DIS optical flow| between neighbouring frames / diagonal / seconds "
            "between them: percent of the diagonal moved a second; average over time; NULL for an "
            "image, and for a picture with a side under 32 pixels or an eighth of the other",
            0,
            better="higher",
        ),
        "static": Column(
            "float",
            "share of the time in which neighbouring frames hardly differ (luma by < 0.5 of 255 on "
            "average), or a frame is shown for over a second",
            0,
            1,
            "lower",
        ),
        "black": Column(
            "float",
            "share of sampled frames that are black (mean + 2 deviations of luma < 32)",
            0,
            1,
            "lower",
        ),
        "blur": Column(
            "float",
            "variance of the Laplacian of the luma, shorter side 256 pixels or the source's; "
            "median over the sampled frames; low is blurred",
            0,
            better="higher",
        ),
        "motion_form": Column(
            "int", "form of these measures: 2, static is a share of the time; NULL, of the pairs", 1
        ),
    }

    class Options(StageOptions):
        """Options of `motion`."""

        batch_size: int = Field(256, ge=1, le=4096, description="clips claimed by one task")

    def score(self, clip: Clip) -> Scores:
        """The measures of one clip. Raises SamplesMissing."""
        pairs, stills = clip.samples.pairs, clip.samples.stills
        return {
            "flow": flow(pairs),
            "static": static(pairs, clip.samples.seconds),
            "black": black(stills),
            "blur": blur(stills),
            "motion_form": self.form,
        }


def flow(pairs: Sequence[Pair]) -> float | None:
    """Mean flow weighted by the time between the frames: total displacement over total time.

    None when no pair has a flow.
    """
    known = [(p.flow, p.gap) for p in pairs if p.flow is not None]
    total = sum(gap for _, gap in known)
    return sum(value * gap for value, gap in known) / total if total else None


def static(pairs: Sequence[Pair], seconds: float) -> float | None:
    """Share of a clip's seconds, 0 to 1, in which the picture hardly changes. None without pairs.

    A pair stands for the time around it, to half way to the pairs beside it.
    """
    if not pairs:
        return None
    between = [(a.seconds + b.seconds - b.gap) / 2 for a, b in pairwise(pairs)]
    stands_for = [end - start for start, end in pairwise([0.0, *between, seconds])]
    still = (t for t, p in zip(stands_for, pairs, strict=True) if p.change < UNCHANGED)
    return round(sum(still) / sum(stands_for), 6)


def black(stills: Sequence[Still]) -> float | None:
    """Share of frames, 0 to 1, in which nearly every pixel is dark. None without frames."""
    return sum(s.mean + 2 * s.deviation < DARK for s in stills) / len(stills) if stills else None


def blur(stills: Sequence[Still]) -> float | None:
    """Median sharpness of the frames; higher is sharper. None without frames."""
    return median(s.sharpness for s in stills) if stills else None
