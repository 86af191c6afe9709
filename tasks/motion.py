"""How much moves, how dark and how sharp the pictures are: the stage `motion`. Opens no video."""

from __future__ import annotations

from collections.abc import Sequence
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
    columns = {
        "flow": Column(
            "float",
            "100 * mean |DIS optical flow| between neighbouring frames / diagonal / seconds "
            "between them: percent of the diagonal moved a second; average over time; NULL for an "
            "image",
            0,
            better="higher",
        ),
        "static": Column(
            "float",
            "share of neighbouring frames that hardly differ (luma by < 0.5 of 255 on average)",
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
    }

    class Options(StageOptions):
        """Options of `motion`."""

        batch_size: int = Field(256, ge=1, le=4096, description="clips claimed by one task")

    def score(self, clip: Clip) -> Scores:
        """The four measures of one clip. Raises SamplesMissing."""
        pairs, stills = clip.samples.pairs, clip.samples.stills
        return {
            "flow": flow(pairs),
            "static": static(pairs),
            "black": black(stills),
            "blur": blur(stills),
        }


def flow(pairs: Sequence[Pair]) -> float | None:
    """Mean flow weighted by the time between the frames: total displacement over total time.

    None when no pair has a flow.
    """
    known = [(p.flow, p.gap) for p in pairs if p.flow is not None]
    total = sum(gap for _, gap in known)
    return sum(value * gap for value, gap in known) / total if total else None


def static(pairs: Sequence[Pair]) -> float | None:
    """Share of pairs, 0 to 1, whose frames hardly differ. None without pairs."""
    return sum(p.change < UNCHANGED for p in pairs) / len(pairs) if pairs else None


def black(stills: Sequence[Still]) -> float | None:
    """Share of frames, 0 to 1, in which nearly every pixel is dark. None without frames."""
    return sum(s.mean + 2 * s.deviation < DARK for s in stills) / len(stills) if stills else None


def blur(stills: Sequence[Still]) -> float | None:
    """Median sharpness of the frames; higher is sharper. None without frames."""
    return median(s.sharpness for s in stills) if stills else None
