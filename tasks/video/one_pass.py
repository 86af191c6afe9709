"""The one pass over a video: each frame is decoded once for scenes, samples, hashes and motion.

Memory is bounded: an open scene holds at most `scene_buffer.HELD` decoded frames, its JPEGs beyond
some megabytes go to a temporary file, and a finished clip goes to the archive at once. Only 8 bytes
a frame accumulate over the length of a scene.
"""

from __future__ import annotations

import ctypes
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from itertools import chain, count, pairwise
from tempfile import SpooledTemporaryFile
from typing import Any, cast

import cv2
import numpy as np
from av.video.frame import VideoFrame

from curate.tasks.stage import NewClip
from curate.tasks.video.decode import decode, nominal_duration, open_media, video_stream
from curate.tasks.video.deinterlace import deinterlaced
from curate.tasks.video.flow import LONG, Gray, gray_of, measure_pair, with_held
from curate.tasks.video.geometry import Geometry, geometry
from curate.tasks.video.hashing import perceptual_hash
from curate.tasks.video.jpeg import JpegList, decode_jpeg
from curate.tasks.video.measures import Measures, Pair
from curate.tasks.video.pieces import Lengths, Piece, long_enough, pieces
from curate.tasks.video.samples import SampleWriter
from curate.tasks.video.scene_buffer import Cadence, FrameStore, OpenScene, SceneFrame, nearest
from curate.tasks.video.scenes import CutFinder, Detector, DetectorTime, Shrinker, Stride
from curate.tasks.video.tone_mapping import ToneMapper
from curate.tasks.video.views import hash_frames

POINTS = (0.1, 0.25, 0.5, 0.75, 0.9)  # of a clip, where scorers look
_JPEG_MEMORY = 16 << 20  # bytes of JPEGs of one video before they go to a temporary file
_SUSPECTS = 4  # recent frames that may yet begin a scene: PySceneDetect decides two frames later
Watch = Callable[[Iterator[VideoFrame]], Iterator[VideoFrame]]
_NO_PICTURE = np.empty((0, 0, 3), np.uint8)  # for a detector that needs none


@dataclass(frozen=True)
class SplitPlan:
    """What the pass looks for. Units are as in the options of the stage `split`."""

    detector: Detector = "adaptive"
    threshold: float | None = None
    min_scene_len: int = 15
    stride_seconds: float = 10.0
    lengths: Lengths = field(default_factory=Lengths)
    sample_fps: float = 1.0
    flow_fps: float = 4.0
    hash: str = "phash"
    deinterlace: bool = True
    tone_map: bool = True
    views: bool = False  # whether frames are hashed in several views too


def split_video(
    path: str, plan: SplitPlan, writer: SampleWriter, watch: Watch = iter
) -> list[NewClip]:
    """The clips of a video, in order; their samples are written. The frames go through `watch`.

    Raises MediaError.
    """
    _prepare()
    with open_media(path) as container, SpooledTemporaryFile(max_size=_JPEG_MEMORY) as jpegs:
        stream = video_stream(container)
        frames = watch(decode(container, stream))
        if plan.deinterlace:
            frames = deinterlaced(frames)
        last = first = next(frames)
        shape = geometry(stream, first)
        time_base = Fraction(stream.time_base or 1)
        clock = _Clock(cast(int, first.pts), time_base, Fraction(stream.average_rate or 25))
        tone_mapper = ToneMapper() if plan.tone_map else None
        store = FrameStore(shape, jpegs, tone_mapper)
        clips = _Clips(plan, shape, clock, store, writer)
        one_pass = _OnePass(plan, clock, store, clips, Shrinker(tone_mapper))
        for last in chain([first], frames):
            one_pass.take(last)
        end = cast(int, last.pts) + (last.duration or nominal_duration(stream))
        clips.close(one_pass.scene, end)
    return clips.clips


@cache
def _prepare() -> None:
    """Limit OpenCV to one thread, as other cores work on other videos, and let glibc keep memory.

    Otherwise glibc returns the memory of each full-size picture to the kernel and gets it anew,
    zeroed, for the next frame: 2 percent of all CPU time.
    """
    cv2.setNumThreads(1)
    with suppress(AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its largest value
        libc.mallopt(-1, 256 << 20)  # M_TRIM_THRESHOLD


@dataclass(frozen=True)
class _Clock:
    """Converts pts to seconds since the first decoded frame; a container's start is often wrong."""

    first: int  # pts of the first decoded frame
    time_base: Fraction
    fps: Fraction

    def seconds(self, pts: int, since: int | None = None) -> float:
        """Seconds from the time stamp `since`, or from the first frame, to pts."""
        return float((pts - (self.first if since is None else since)) * self.time_base)


class _OnePass:
    """Processes the frames one by one, and passes each scene that ends to `clips`."""

    def __init__(
        self,
        plan: SplitPlan,
        clock: _Clock,
        store: FrameStore,
        clips: _Clips,
        shrinker: Shrinker,
    ) -> None:
        lengths = plan.lengths
        parts = [part for part in (lengths.longest, lengths.panda) if part is not None]
        shortest = max(min(parts) / 2, lengths.shortest / 2, 0.01) if parts else float("inf")
        # hold frames 1/8 of the shortest piece of a long scene apart, so that each point of a piece
        # has a frame within 1/16 of the piece's length
        cadence = Cadence(1 / plan.sample_fps, shortest / 8)
        self.scene = OpenScene(0, cadence, array("q"))
        self._clock = clock
        self._store = store
        self._clips = clips
        self._finder: CutFinder
        if plan.detector == "stride":
            self._finder = Stride(plan.stride_seconds)
        else:
            self._finder = CutFinder(plan.detector, plan.threshold, plan.min_scene_len)
        self._shrinker = shrinker
        self._indices = count()
        self._suspects: deque[SceneFrame] = deque(maxlen=_SUSPECTS)
        self._flow_step = 1 / plan.flow_fps
        self._next_flow = 0.0
        self._before: tuple[Gray, float] | None = None  # the first frame of a pair, and its time

    def take(self, decoded: VideoFrame) -> None:
        """Process the next frame; where it shows that a scene has ended, make its clips."""
        clock = self._clock
        frame = SceneFrame(next(self._indices), cast(int, decoded.pts), decoded)
        seconds = clock.seconds(frame.pts)
        if frame.index == 0:
            self.scene.begin(self._store.encode_small(frame), seconds)
        self.scene.take(frame, seconds, self._store)
        pairing = self._before is not None or seconds >= self._next_flow
        picture = _NO_PICTURE
        if self._finder.needs_pictures or pairing:
            picture = self._shrinker.shrink(decoded)
            if pairing:
                self._pair(frame.index, gray_of(picture), seconds)
        time = DetectorTime(frame.index, frame.pts - clock.first, clock.time_base, clock.fps)
        cuts = self._finder.push(time, picture)
        if self._finder.suspect or frame.index in cuts:
            self._suspects.append(frame)
        for index in cuts:
            first = next(frame for frame in self._suspects if frame.index == index)
            if index == self.scene.start:
                continue
            after = self.scene.cut(index)
            self._clips.close(self.scene, first.pts)
            self.scene = after
            after.begin(self._store.encode_small(first), clock.seconds(first.pts))

    def _pair(self, index: int, gray: Gray, seconds: float) -> None:
        """Measure the pair that the last frame began; begin another one when it is time to."""
        before, self._before = self._before, None
        if before is not None and before[0].shape == gray.shape:
            measured = measure_pair(before[0], gray, seconds, seconds - before[1])
            self.scene.pairs.append((index, measured))
        if seconds >= self._next_flow:
            self._before = gray, seconds
            self._next_flow = seconds + self._flow_step


class _Clips:
    """Makes clips of finished scenes.

    Pieces that are too short get a number too, as in the seed.
    """

    def __init__(
        self,
        plan: SplitPlan,
        shape: Geometry,
        clock: _Clock,
        store: FrameStore,
        writer: SampleWriter,
    ) -> None:
        self.clips: list[NewClip] = []
        self._plan = plan
        self._shape = shape
        self._clock = clock
        self._store = store
        self._writer = writer
        self._numbers = count()

    def close(self, scene: OpenScene, end: int) -> None:
        """Make the clips of a scene; `end` is the time stamp of its end."""
        times = scene.times
        times.append(end)
        time_base, lengths = self._clock.time_base, self._plan.lengths
        for piece in pieces(times, time_base, lengths):
            number = next(self._numbers)
            if long_enough(times, piece, time_base, lengths):
                jpegs, measures = self._sample(scene, piece)
                self._writer.write(number, measures, jpegs)
                columns = self._columns(scene, piece, jpegs, measures)
                self.clips.append(NewClip(number, times[piece.first], piece.end, columns))

    def _sample(self, scene: OpenScene, piece: Piece) -> tuple[JpegList, Measures]:
        """The pictures and measures of a clip."""
        store, seconds = self._store, self._clock.seconds
        start, end = scene.times[piece.first], piece.end
        frames, regular, middle = self._choose(scene, piece)
        jpegs = JpegList()
        pictures = [
            jpegs.add(seconds(f.pts, start), store.jpeg(store.encode_small(f).small))
            for f in frames
        ]
        large = store.jpeg(store.encode_large(middle).large)
        return jpegs, Measures(
            seconds=seconds(end, start),
            pictures=pictures,
            regular=[i for i, frame in enumerate(frames) if frame.index in regular],
            large=jpegs.add(seconds(middle.pts, start), large),
            pairs=self._pairs(scene, piece),
            stills=[replace(f.still, seconds=seconds(f.pts, start)) for f in frames if f.still],
        )

    def _pairs(self, scene: OpenScene, piece: Piece) -> list[Pair]:
        """The measured pairs of a clip, and those of frames that are shown for long."""
        start, seconds = scene.times[piece.first], self._clock.seconds
        measured = [
            replace(pair, seconds=pair.seconds - seconds(start))
            for index, pair in scene.pairs
            if piece.first < index - scene.start < piece.after
        ]
        shown = [*scene.times[piece.first : piece.after], piece.end]
        long = LONG / self._clock.time_base
        held = [(a, b) for a, b in pairwise(shown) if b - a > long]
        return with_held(measured, [(seconds(a, start), seconds(b, start)) for a, b in held])

    def _choose(
        self, scene: OpenScene, piece: Piece
    ) -> tuple[list[SceneFrame], set[int], SceneFrame]:
        """The frames to store of a clip, the indices of its regular ones, and the large one."""
        start, end = scene.times[piece.first], piece.end
        regular, held = scene.within(piece.first, piece.after)
        chosen = {frame.index: frame for frame in regular or held[:1]}
        indices = set(chosen)
        middle = nearest(held, start + 0.5 * (end - start))
        for point in POINTS:
            frame = nearest([*chosen.values(), *held], start + point * (end - start))
            chosen.setdefault(frame.index, self._store.encode_small(frame))
        if piece.first == 0:
            chosen.setdefault(held[0].index, self._store.encode_small(held[0]))
        return [chosen[i] for i in sorted(chosen)], indices, middle

    def _columns(
        self, scene: OpenScene, piece: Piece, jpegs: JpegList, measures: Measures
    ) -> dict[str, Any]:
        """The values of the columns of a clip."""
        start, end = scene.times[piece.first], piece.end
        num_frames = piece.after - piece.first
        width, height = self._shape.size
        middle = min(measures.pictures, key=lambda p: abs(p.seconds - measures.seconds / 2))
        first_hash, middle_hash = (
            perceptual_hash(
                decode_jpeg(bytes(jpegs.data[p.offset : p.offset + p.size])), self._plan.hash
            )
            for p in (measures.pictures[0], middle)
        )
        views = {"hash_views": self._hash_views(scene, piece)} if self._plan.views else {}
        return {
            "num_frames": num_frames,
            "fps": float(num_frames / ((end - start) * self._clock.time_base)),
            "width": width,
            "height": height,
            "aspect_ratio": height / width,
            "resolution": height * width,
            "start_frame": scene.start + piece.first,
            "start_seconds": self._clock.seconds(start),
            "end_seconds": self._clock.seconds(end),
            "seconds": measures.seconds,
            "hash_first": first_hash,
            "hash_middle": middle_hash,
            **views,
        }

    def _hash_views(self, scene: OpenScene, piece: Piece) -> str:
        """The views of all frames of a clip that are at hand, as a text."""
        regular, held = scene.within(piece.first, piece.after)
        frames = {frame.index: frame for frame in (*held, *regular)}
        return hash_frames(self._store.gray(frames[i]) for i in sorted(frames))
