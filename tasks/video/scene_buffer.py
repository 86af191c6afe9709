"""Holds frames of the scene that is still open: decoded or as JPEGs."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from curate.tasks.video.bars import find_bars, maybe_bars
from curate.tasks.video.flow import Gray, measure_still
from curate.tasks.video.geometry import RGB, Converter, Geometry
from curate.tasks.video.jpeg import decode_half, encode_jpeg
from curate.tasks.video.measures import Bars, Pair, Still
from curate.tasks.video.samples import LONGER, SHORTER
from curate.tasks.video.tone_mapping import HDR, ToneMapper

HELD = 16  # decoded frames held for an open scene before they are thinned out
HELD_BYTES = 64 << 20  # of them, before the earliest become JPEGs: each would need two of them
HELD_EVERY = 0.25  # seconds between held frames at first; doubled whenever there are too many
_HELD_BYTES = 8 << 20  # a larger frame is scaled to a longer side of _HELD_SIDE
_HELD_SIDE = 1920  # pixels
SEEN = (48, 27)  # width and height of what the network for cuts sees

Key = tuple[int, int]  # offset and size of a JPEG in the file of a FrameStore


@dataclass
class SceneFrame:
    """A frame of the open scene: as it was decoded, as JPEGs in a FrameStore, or both."""

    index: int  # among the frames of the video
    pts: int
    decoded: VideoFrame | None = None
    small: Key | None = None
    large: Key | None = None
    still: Still | None = None
    seconds: float = 0.0  # of a held frame, from the first frame of the video


class FrameStore:
    """Encodes frames of one shape; their JPEGs stay in `file` until the video ends.

    `bars`: those of each small picture are measured too.
    """

    def __init__(
        self,
        shape: Geometry,
        file: IO[bytes],
        tone_mapper: ToneMapper | None = None,
        bars: bool = False,
    ) -> None:
        self.shape = shape
        self._measures_bars = bars
        bilinear = Interpolation.BILINEAR
        self._small = Converter(shape.fit(shorter=SHORTER), shape, bilinear, tone_mapper)
        self._large = Converter(shape.fit(longer=LONGER), shape, bilinear, tone_mapper)
        half = shape.fit(shorter=SHORTER // 2)
        self._half = Converter(half, shape, bilinear, tone_mapper, "gray")
        self._whole = Converter(shape.square, shape, bilinear, tone_mapper, "gray")
        size = SEEN[::-1] if shape.sideways else SEEN
        self._seen = Converter(size, shape, Interpolation.BICUBIC, tone_mapper)
        self._tone_mapper = tone_mapper
        self._shrinker = VideoReformatter()
        self._file = file

    def thumbnail(self, decoded: VideoFrame) -> RGB:
        """The frame as the network for cuts sees it: 27 x 48 x 3, as ffmpeg scales it."""
        return self._seen.convert(decoded)

    def hold_small(self, decoded: VideoFrame) -> VideoFrame:
        """The frame, scaled down to the size of its large picture: many more are held than used."""
        return (
            self._scaled(decoded, LONGER)
            if max(decoded.width, decoded.height) > LONGER
            else decoded
        )

    def hold(self, decoded: VideoFrame) -> VideoFrame:
        """The frame, scaled down if many frames of its size would take too much memory."""
        size = sum(plane.buffer_size for plane in decoded.planes)
        return decoded if size <= _HELD_BYTES else self._scaled(decoded, _HELD_SIDE)

    def _scaled(self, decoded: VideoFrame, longer: int) -> VideoFrame:
        sides = decoded.width, decoded.height
        scale = min(1.0, longer / max(sides))
        width, height = (max(2, round(side * scale / 2) * 2) for side in sides)
        if self._tone_mapper is not None and decoded.color_trc in HDR:
            decoded = self._tone_mapper(decoded, (width, height))
        smaller = self._shrinker.reformat(
            decoded, width, height, "yuv420p", interpolation=Interpolation.BILINEAR, threads=1
        )
        smaller.pts = decoded.pts
        return smaller

    def encode(self, frame: SceneFrame, large: bool = False) -> SceneFrame:
        """Give the frame its large picture, or its small one and measures, unless it has them.

        Returns the frame.
        """
        if frame.decoded is None or (frame.large if large else frame.small) is not None:
            return frame
        picture = (self._large if large else self._small).convert(frame.decoded)
        key = self._file.seek(0, 2), self._file.write(encode_jpeg(picture))
        if large:
            frame.large = key
            return frame
        frame.small, frame.still = key, measure_still(picture, 0.0)
        if self._measures_bars:
            frame.still = replace(frame.still, bars=self._bars(frame.decoded, picture))
        return frame

    def _bars(self, decoded: VideoFrame, small: RGB) -> Bars:
        """The bars of a frame; unknown where it was scaled down while it was held."""
        if (decoded.width, decoded.height) != (self.shape.coded_width, self.shape.coded_height):
            return Bars()
        if not maybe_bars(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)):
            return Bars(0, 0, 0, 0)
        return find_bars(self._whole.convert(decoded), small)

    def gray(self, frame: SceneFrame) -> Gray:
        """The luma of a frame, of half the size of its small picture."""
        if frame.small is None and frame.decoded is not None:
            return self._half.convert(frame.decoded)
        return decode_half(self.jpeg(frame.small))

    def jpeg(self, key: Key | None) -> bytes:
        """A JPEG that `encode` made."""
        assert key is not None
        self._file.seek(key[0])
        return self._file.read(key[1])


@dataclass
class Cadence:
    """How often an open scene is sampled, in seconds."""

    regular: float = 1.0
    # the most between two held frames, so that each clip of a long scene has some
    limit: float = float("inf")


class OpenScene:
    """The scene that is still open, which began with frame number `start` of the video.

    `seconds` are from the first frame of the video. All its frames are of the shape of `store`. The
    first one is sampled and held, so that every scene has a frame of each kind.
    """

    def __init__(
        self, first: SceneFrame, seconds: float, cadence: Cadence, store: FrameStore
    ) -> None:
        self.start = first.index
        self.store = store
        self.times = array("q")  # pts of every frame
        store.encode(first)
        self.regular = [replace(first, decoded=None, seconds=seconds)]
        self.held = [replace(first, seconds=seconds)]  # decoded, or with both JPEGs
        self.pairs: list[tuple[int, Pair]] = []  # with the index of the later frame
        self._cadence = cadence
        self._every = min(HELD_EVERY, cadence.limit)
        self._next_regular = seconds + cadence.regular
        self._next_held = seconds + self._every

    def take(self, frame: SceneFrame, seconds: float) -> None:
        """Add the next frame; sample and hold it when it is time to."""
        store = self.store
        self.times.append(frame.pts)
        if seconds >= self._next_regular:
            small = store.encode(frame)
            self.regular.append(replace(small, decoded=None, seconds=seconds))
            periods = (seconds - self._next_regular) / self._cadence.regular
            self._next_regular += (int(periods) + 1) * self._cadence.regular
        if seconds >= self._next_held and frame.decoded is not None:
            held = replace(frame, decoded=store.hold(frame.decoded), seconds=seconds)
            self.held.append(held)
            periods = (seconds - self._next_held) / self._every
            self._next_held += (int(periods) + 1) * self._every
            pictures = [f.decoded for f in self.held if f.decoded is not None]
            if len(pictures) <= HELD:
                return
            if self._every * 2 <= self._cadence.limit:
                self._every *= 2
                # a frame between two long gaps stays: it may be all there is of a piece
                kept = self.held[:1]
                for one in self.held[1:]:
                    if one.seconds - kept[-1].seconds > 0.75 * self._every:
                        kept.append(one)
                self.held = kept
            elif sum(plane.buffer_size for one in pictures for plane in one.planes) > HELD_BYTES:
                earliest = next(f for f in self.held if f.decoded is not None)
                store.encode(store.encode(earliest), large=True).decoded = None

    def cut(self, first: SceneFrame, seconds: float) -> OpenScene:
        """Move the frame `first` and all after it to a new scene, which is returned."""
        index, regular = first.index, self._cadence.regular
        position = index - self.start
        after = OpenScene(first, seconds, self._cadence, self.store)
        after.times = self.times[position:]
        for frame in self.regular:  # sampled before it was known that a scene had begun
            if frame.index > index and frame.seconds >= after.regular[-1].seconds + regular:
                after.regular.append(frame)
        after._next_regular = after.regular[-1].seconds + regular
        after.held += [f for f in self.held if f.index > index]
        after.pairs = [p for p in self.pairs if p[0] > index]
        self.times = self.times[:position]
        self.regular = [f for f in self.regular if f.index < index]
        self.held = [f for f in self.held if f.index < index]
        self.pairs = [p for p in self.pairs if p[0] < index]
        return after

    def within(self, first: int, after: int) -> tuple[list[SceneFrame], list[SceneFrame]]:
        """Regular and held frames among the frames `first` to `after` - 1 of the scene.

        Where none of them is held (in a piece of a long scene right before a gap in time), the
        nearest held frame of the scene stands in.
        """
        start, end, pts = first + self.start, after + self.start, self.times[first]
        regular = [f for f in self.regular if start <= f.index < end]
        held = [f for f in self.held if start <= f.index < end] or [nearest(self.held, pts)]
        return regular, held


def nearest(frames: Sequence[SceneFrame], pts: float) -> SceneFrame:
    """The frame nearest to pts; of two at the same distance, the first."""
    return min(frames, key=lambda frame: abs(frame.pts - pts))
