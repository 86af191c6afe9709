"""Decodes a clip once and gives each captioner the frames it needs, of each window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from curate.tasks.captioners.interface import Captioner
from curate.tasks.captioners.windows import Window, Windows, windows_in
from curate.tasks.inputs.extensions import is_image
from curate.tasks.stage import Clip
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames


@dataclass(frozen=True)
class Part:
    """What one caption is about: a window or, where that is None, the clip."""

    window: Window | None
    frames: Frames


def always(window: Window | None) -> bool:
    """Frames are needed of every part."""
    return True


def parts_for(
    clip: Clip,
    wanted: Sequence[tuple[Captioner, Windows | None]],
    needed: Callable[[Window | None], bool] = always,
) -> list[list[Part]]:
    """The parts of a clip, in order, for each captioner and its windows, from one decode.

    The frames of a window are those that a decode of the window alone would give, save that
    deinterlacing knows the frames beside it. Parts that are not `needed` have no frames. Raises
    MediaError, StageError.
    """
    if is_image(clip.video.path):
        return [[part] for part in _parts_of_image(clip.video.path, wanted)]
    from curate.tasks.video.frame_picker import pick_frames

    span = clip.span
    windows: list[list[Window | None]] = []

    def choose(shape: SpanShape) -> list[Pick]:
        windows.extend(windows_in(clip.video.path, span, shape, divided) for _, divided in wanted)
        picks = []
        for (captioner, _), of_captioner in zip(wanted, windows, strict=True):
            for window in of_captioner:
                if not needed(window):
                    picks.append(Pick((), (1, 1)))
                elif window is None:
                    picks.append(captioner.choose_frames(shape))
                else:
                    pick = captioner.choose_frames(window.shape(shape, span.time_base))
                    indices = [window.first + i for i in pick.indices]
                    picks.append(replace(pick, indices=indices))
        return picks

    pictures = iter(pick_frames(clip.video.path, span, choose))
    return [[Part(window, next(pictures)) for window in one] for one in windows]


def _parts_of_image(path: str, wanted: Sequence[tuple[Captioner, Windows | None]]) -> list[Part]:
    """A still image, a clip of one frame that a captioner may pick repeatedly, for each captioner.

    It has no windows.
    """
    import numpy as np
    from PIL import Image

    from curate.tasks.video.still_images import read_image

    pixels = read_image(path).pixels
    height, width = pixels.shape[:2]
    parts = []
    for captioner, _ in wanted:
        pick = captioner.choose_frames(SpanShape(1, None, width, height))
        scaled = pixels
        if pick.size not in (None, (width, height)):
            picture = Image.fromarray(pixels)
            scaled = np.asarray(picture.resize(pick.size, Image.Resampling.BICUBIC), np.uint8)
        parts.append(Part(None, np.stack([scaled] * len(pick.indices))))
    return parts
