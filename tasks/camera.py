"""How the camera moves, and what moves besides: the stage `camera`. Opens no video."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.configs.row_errors import MeasuresMissing
from curate.configs.schema import Column
from curate.tasks.stage import Clip, Field, Scorer, Scores, StageOptions

if TYPE_CHECKING:
    from curate.tasks.video.measures import CameraMove, Pair

FOLLOWS = 0.25  # share of the textured picture that must follow the camera in a pair
STILL = 0.01  # widths a second; a slower camera stands still
SHAKES = 0.03  # widths a second
REACH = 0.33  # widths: how far pixels are from the centre, in the mean (16:9)
CLEAR = 0.8  # share of the squared speed that one kind of motion has, where it gives the name
_NAMES = (("pan_right", "pan_left"), ("tilt_up", "tilt_down"), ("zoom_in", "zoom_out"))
Speeds = tuple[float, float, float, float]


class Camera(Scorer["Camera.Options"]):
    """Pan, tilt, zoom, roll and shake of the camera, and what moves besides.

    A similarity is fitted to the optical flow between neighbouring frames, about four times a
    second, by RANSAC (Fischler & Bolles 1981; OpenCV's estimateAffinePartial2D) over the parts of
    the picture that have texture, and refined on their luma. `split` does so when this stage is in
    the pipeline. All columns are NULL for images, clips of one frame, pictures with a side under 32
    pixels or an eighth of the other, and where the picture follows no camera for half of the time:
    too little texture, or things that move everywhere. `clean_text` adds the label to captions:
    `camera_motion: camera_motion`.
    """

    name = "camera"
    columns = {
        "camera_motion": Column(
            "text",
            "static, pan_left, pan_right, tilt_up, tilt_down, zoom_in, zoom_out, roll (one of "
            "these has 0.8 of the squared mean speed), handheld (shake >= 0.03, and over half of "
            "the mean speed), or complex; static: under 0.01 widths a second",
            counted=True,
        ),
        "camera_pan": Column(
            "float", "widths of the picture a second that the camera turns or goes to the right; "
            "to the left is negative. Mean over the clip, as of tilt, zoom and roll",
        ),
        "camera_tilt": Column("float", "widths of the picture a second upwards"),
        "camera_zoom": Column(
            "float",
            "share by which things grow in a second: 0.1 is 10 % larger after a second; shrinking "
            "is negative",
            -1,
        ),
        "camera_roll": Column("float", "degrees a second that the camera turns clockwise"),
        "camera_shake": Column(
            "float",
            "root of the mean squared difference of pan and tilt from the mean of the pairs before "
            "and after, times sqrt(2/3): widths a second; NULL for under three pairs",
            0,
            better="lower",
        ),
        "flow_object": Column(
            "float",
            "as flow, but of the motion that the camera leaves: 100 * mean |flow - fit| over the "
            "textured picture / diagonal / seconds; includes the errors of the flow",
            0,
            better="higher",
        ),
    }  # fmt: skip

    class Options(StageOptions):
        """Options of `camera`."""

        batch_size: int = Field(256, ge=1, le=4096, description="clips claimed by one task")

    def score(self, clip: Clip) -> Scores:
        """The columns of one clip. Raises SamplesMissing, MeasuresMissing."""
        pairs = clip.samples.pairs
        if any(pair.camera is None for pair in pairs):
            raise MeasuresMissing(stage=self.name)
        return camera(pairs)


def camera(pairs: Sequence[Pair]) -> Scores:
    """The columns of `camera` by the pairs of a clip, in the order of time."""
    moves = [
        (pair.camera, pair.gap)
        for pair in pairs
        if pair.camera is not None and pair.camera.follows >= FOLLOWS
    ]
    total = sum(gap for _, gap in moves)
    if not moves or total < 0.5 * sum(pair.gap for pair in pairs):
        return dict.fromkeys(Camera.columns)
    pan, tilt, zoom, roll, rest = (
        sum(value * gap for value, (_, gap) in zip(values, moves, strict=True)) / total
        for values in zip(*((m.pan, m.tilt, m.zoom, m.roll, m.rest) for m, _ in moves), strict=True)
    )
    shake = shaking([move for move, _ in moves])
    return {
        "camera_motion": label([speeds(move) for move, _ in moves], shake),
        "camera_pan": round(pan, 6),
        "camera_tilt": round(tilt, 6),
        "camera_zoom": round(math.expm1(min(zoom, 50.0)), 6),
        "camera_roll": round(roll, 6),
        "camera_shake": shake,
        "flow_object": round(rest, 6),
    }


def shaking(moves: Sequence[CameraMove]) -> float | None:
    """How much pan and tilt change from pair to pair, widths a second; None for under three."""
    if len(moves) < 3:
        return None
    total = 0.0
    for a, b, c in zip(moves, moves[1:], moves[2:], strict=False):
        total += (b.pan - (a.pan + c.pan) / 2) ** 2 + (b.tilt - (a.tilt + c.tilt) / 2) ** 2
    # of independent changes the difference has 3/2 of their variance
    return round(math.sqrt(total / (len(moves) - 2) * 2 / 3), 6)


def speeds(move: CameraMove) -> Speeds:
    """Pan, tilt, zoom and roll as the widths a second that they move pixels, in the mean."""
    return move.pan, move.tilt, REACH * move.zoom, REACH * math.radians(move.roll)


def label(moves: Sequence[Speeds], shake: float | None) -> str:
    """The name of a motion, as the column `camera_motion` has it."""
    mean = [sum(speed) / len(moves) for speed in zip(*moves, strict=True)]
    steady = sum(value * value for value in mean)
    power = sum(value * value for speed in moves for value in speed) / len(moves)
    if shake is not None and shake >= SHAKES and shake > 0.5 * math.sqrt(steady):
        return "handheld"
    if max(steady, power / 4) < STILL * STILL:
        return "static"
    kind = max(range(4), key=lambda n: abs(mean[n]))
    if steady < power / 2 or mean[kind] ** 2 < CLEAR * steady:
        return "complex"  # to and fro, or several at once
    return "roll" if kind == 3 else _NAMES[kind][mean[kind] < 0]
