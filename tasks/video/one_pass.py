"""The one pass over a video: each frame is decoded once for scenes, samples, hashes and motion.

Memory is bounded: an open scene holds `scene_buffer.HELD` decoded frames, or HELD_BYTES of them,
its JPEGs beyond some megabytes go to a temporary file, and a finished clip goes to the archive at
once. Only 8 bytes a frame accumulate over the length of a scene.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, partial
from itertools import chain, count, pairwise
from tempfile import SpooledTemporaryFile
from typing import cast

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from curate.tasks.models.transnet import TransNet
from curate.tasks.stage import NewClip, Scores
from curate.tasks.video.box import common_box, cut_to
from curate.tasks.video.clock import Clock
from curate.tasks.video.colours import refuse_colours
from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.deinterlace import Interlacing, deinterlaced
from curate.tasks.video.flow import LONG, Gray, measure_pair, with_held
from curate.tasks.video.full_size import FullSize
from curate.tasks.video.geometry import Geometry, geometry
from curate.tasks.video.hashing import perceptual_hashes
from curate.tasks.video.jpeg import JpegList, decode_jpeg
from curate.tasks.video.learned import SLOWEST, Gate, LateFrames, LearnedCuts
from curate.tasks.video.measures import Measures
from curate.tasks.video.pieces import Lengths, Piece, pieces, ticks
from curate.tasks.video.samples import SampleWriter
from curate.tasks.video.scene_buffer import Cadence, FrameStore, OpenScene, SceneFrame, nearest
from curate.tasks.video.scenes import Candidate, CutFinder, Detector, Rate, Shrinker, Stride
from curate.tasks.video.screening import SCREENED
from curate.tasks.video.stitching import MOST_FRAMES, Stitcher
from curate.tasks.video.tone_mapping import ToneMapper
from curate.tasks.video.views import hash_frames

POINTS = (0.1, 0.25, 0.5, 0.75, 0.9)  # of a clip, where scorers look
_JPEG_MEMORY = 16 << 20  # bytes of JPEGs of one video before they go to a temporary file
_PAIRS = 16  # measured one after the other: between frames, the decoder's data displace theirs
_SUSPECTS = 4  # recent frames that may yet begin a scene: PySceneDetect decides two frames later
Watch = Callable[[Iterator[VideoFrame]], Iterator[VideoFrame]]


@dataclass(frozen=True)
class SplitPlan:
    """What the pass looks for. Units are as in the options of the stage `split`."""

    detector: Detector = "adaptive"
    threshold: float | None = None
    min_scene_len: int | float = 15  # frames, or seconds if it is a float
    stride_seconds: float = 10.0
    lengths: Lengths = field(default_factory=Lengths)
    sample_fps: float = 1.0
    flow_fps: float = 4.0
    hash: str = "phash"
    deinterlace: bool = True
    tone_map: bool = True
    views: str = "none"  # what is hashed besides, as in the options of the stage `dedup`
    stitch: bool = False
    camera: bool = False  # whether the motion of the camera is measured
    bars: bool = False  # whether bars around the picture are
    full_size: bool = False  # whether some frames are looked at in full size
    ends: bool = False  # whether large pictures of a clip's start and end are kept
    network: TransNet | None = None  # of the detectors learned and gated
    trim: bool = False  # whether transitions that they find are left out of their neighbours


def split_video(
    path: str, plan: SplitPlan, writer: SampleWriter, watch: Watch = iter
) -> tuple[list[NewClip], Scores]:
    """The clips of a video, in order, and its own columns; samples are written.

    The decoded frames go through `watch`. Where the clock of the source jumps, or the size or
    orientation of its pictures changes, a scene ends: each clip has one of each. Raises MediaError.
    """
    _prepare()
    with open_media(path) as container, SpooledTemporaryFile(max_size=_JPEG_MEMORY) as jpegs:
        stream = video_stream(container)
        clock = Clock.of(container, stream)
        interlacing = Interlacing()
        frames = watch(decode(container, stream, clock=clock))
        if plan.deinterlace:
            frames = deinterlaced(frames, interlacing)
        else:
            frames = interlacing.noted(frames)
        full_size = FullSize() if plan.full_size else None
        if full_size is not None:
            frames = full_size.seen(frames)
        last = first = next(frames)
        refuse_colours(path, first)
        time_base = Fraction(stream.time_base or 1)
        rate = Rate(time_base, Fraction(stream.average_rate or 25))
        times = _Times(cast(int, first.pts), rate)
        tone_mapper = ToneMapper() if plan.tone_map else None
        clips = _Clips(plan, times, writer, full_size)
        store = partial(FrameStore, file=jpegs, tone_mapper=tone_mapper, bars=plan.bars)
        parts = _Parts(plan, stream, clock, store)
        one_pass = _OnePass(plan, parts, times, clips, Shrinker(tone_mapper))
        for last in chain([first], frames):
            one_pass.take(last)
        one_pass.finish(clock.end(times.first, last.duration, fields=interlacing.found))
    return clips.clips, {
        "frames_decoded": clock.frames,
        "frames_leftover": clips.leftover,
        "frames_unplaced": clock.frames - clips.placed - clips.leftover,
        "scenes_short": clips.short,
        "longest_gap": float(clips.longest_gap * time_base),
        "time_jumps": len(clock.jumps),
        "seekable": int(clock.searchable),
        "interlaced_flag": int(interlacing.found),
        "frames_in_transitions": clips.faded if plan.trim else None,
    }


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
class _Times:
    """Converts pts to seconds since the first decoded frame; a container's start is often wrong."""

    first: int  # pts of the first decoded frame
    rate: Rate

    def seconds(self, pts: int, since: int | None = None) -> float:
        """Seconds from the time stamp `since`, or from the first frame, to pts."""
        passed = pts - (self.first if since is None else since)
        return passed * self.rate.time_base.numerator / self.rate.time_base.denominator


class _Parts:
    """The parts of a stream in which its clock runs on and its pictures keep their shape.

    Nothing of a part is compared with another: each has a store and a finder of its own.
    """

    def __init__(
        self,
        plan: SplitPlan,
        stream: VideoStream,
        clock: Clock,
        make_store: Callable[[Geometry], FrameStore],
    ) -> None:
        self._plan = plan
        self._stream = stream
        self._clock = clock
        self._make_store = make_store
        self._jumps = 0  # before this frame
        self._stored: tuple[int, int, int] | None = None  # how pictures are stored
        self._rate = float(stream.average_rate or 25)

    def begin(self, frame: VideoFrame) -> tuple[FrameStore, CutFinder] | None:
        """A store and a finder for the part that begins with this frame, if one does.

        All frames are passed, in order.
        """
        jumps, before = self._clock.jumps, self._jumps
        while self._jumps < len(jumps) and cast(int, frame.pts) >= jumps[self._jumps].start:
            self._jumps += 1
        stored = frame.width, frame.height, frame.rotation
        if stored == self._stored and self._jumps == before:
            return None
        self._stored = stored
        store, plan = self._make_store(geometry(self._stream, frame)), self._plan
        apart = plan.min_scene_len
        if plan.network is not None:
            if self._rate < SLOWEST:
                return store, SCREENED["adaptive"]("adaptive", None, apart)
            gate = Gate() if plan.detector == "gated" else None
            return store, LearnedCuts(plan.network, plan.threshold, apart, gate, plan.trim)
        if plan.detector == "stride":
            return store, Stride(plan.stride_seconds)
        if not plan.stitch:
            return store, SCREENED[plan.detector](plan.detector, plan.threshold, apart)
        finder = CutFinder(plan.detector, plan.threshold, apart)
        frames = round(apart * self._rate) if isinstance(apart, float) else apart
        return store, Stitcher(finder, frames)


class _OnePass:
    """Processes the frames one by one, and passes each scene that ends to `clips`."""

    def __init__(
        self, plan: SplitPlan, parts: _Parts, times: _Times, clips: _Clips, shrinker: Shrinker
    ) -> None:
        lengths = plan.lengths
        longest = [length for length in (lengths.longest, lengths.panda) if length is not None]
        shortest = max(min(longest) / 2, lengths.shortest / 2, 0.01) if longest else float("inf")
        # hold frames 1/8 of the shortest piece of a long scene apart, so that each point of a piece
        # has a frame within 1/16 of the piece's length
        self._cadence = Cadence(1 / plan.sample_fps, shortest / 8)
        self._plan = plan
        self._parts = parts
        self._times = times
        self._clips = clips
        self._shrinker = shrinker
        self._indices = count()
        waiting = MOST_FRAMES if plan.stitch else 0
        self._suspects: deque[SceneFrame] = deque(maxlen=_SUSPECTS + waiting)
        self._flow_step = 1 / plan.flow_fps
        self._next_flow = 0.0
        self._before: tuple[Gray, float] | None = None  # the first frame of a pair, and its time
        # index of the later frame, the two frames, the time of the later one, and between them
        self._pairs: list[tuple[int, Gray, Gray, float, float]] = []  # yet to be measured
        self._scene: OpenScene | None = None
        self._finder: CutFinder
        self._late: LateFrames | None = None  # of a finder that is up to hundred frames late

    def take(self, decoded: VideoFrame) -> None:
        """Process the next frame; where it shows that a scene has ended, make its clips."""
        times = self._times
        frame = SceneFrame(next(self._indices), cast(int, decoded.pts), decoded)
        seconds = times.seconds(frame.pts)
        part = self._parts.begin(decoded)
        if part is not None:
            self.finish(frame.pts)
            store, self._finder = part
            self._scene = OpenScene(frame, seconds, self._cadence, store)
            self._before = None
            self._suspects.clear()
            if isinstance(self._finder, LearnedCuts):
                self._late = LateFrames(self._finder, store.hold_small)
        scene = cast(OpenScene, self._scene)
        scene.take(frame, seconds)
        since, shrink = frame.pts - times.first, self._shrinker.shrink
        thumbnail = scene.store.thumbnail
        candidate = Candidate(frame.index, since, times.rate, decoded, shrink, thumbnail)
        if self._before is not None or seconds >= self._next_flow:
            self._pair(frame.index, candidate.luma, seconds)
        if self._late is not None:
            self._late.add(frame)
        cuts = self._finder.push(candidate)
        if self._late is None and (self._finder.suspect or frame.index in cuts):
            if self._plan.stitch:  # it may wait for long, beside others
                frame = replace(frame, decoded=scene.store.hold(decoded))
            self._suspects.append(frame)
        if cuts:
            self._cut(cuts)

    def _cut(self, cuts: Iterable[int]) -> None:
        """Make the clips of the scenes that end before these frames."""
        self._measure_pairs()
        for index in cuts:
            scene = cast(OpenScene, self._scene)
            if self._late is not None:
                first = self._late.find(index)
            else:
                first = next(frame for frame in self._suspects if frame.index == index)
            if index == scene.start:
                continue
            self._scene = scene.cut(first, self._times.seconds(first.pts))
            self._clips.close(scene, first.pts, self._finder.transitions)

    def finish(self, end: int) -> None:
        """Make the clips of the open scene, which ends at the time stamp `end`, if there is one."""
        if self._scene is not None:
            self._cut(self._finder.flush())
            self._clips.close(self._scene, end, self._finder.transitions)
            self._scene = None

    def _pair(self, index: int, gray: Gray, seconds: float) -> None:
        """Take the pair that the last frame began; begin another one when it is time to."""
        before, self._before = self._before, None
        if before is not None and before[0].shape == gray.shape:
            self._pairs.append((index, before[0], gray, seconds, seconds - before[1]))
            if len(self._pairs) >= _PAIRS:
                self._measure_pairs()
        if seconds >= self._next_flow:
            self._before = gray, seconds
            self._next_flow = seconds + self._flow_step

    def _measure_pairs(self) -> None:
        """Measure the pairs of the open scene that were taken so far."""
        scene = cast(OpenScene, self._scene)
        for index, before, after, seconds, gap in self._pairs:
            measured = measure_pair(before, after, seconds, gap, self._plan.camera)
            if measured.camera is not None:
                move = measured.camera.as_displayed(scene.store.shape)
                measured = replace(measured, camera=move)
            scene.pairs.append((index, measured))
        self._pairs.clear()


class _Clips:
    """Makes clips of finished scenes.

    Pieces that are too short get a number too, as in the seed.
    """

    def __init__(
        self, plan: SplitPlan, times: _Times, writer: SampleWriter, full_size: FullSize | None
    ) -> None:
        self.clips: list[NewClip] = []
        self.placed = self.leftover = self.short = self.faded = 0  # frames, and pieces
        self.longest_gap = 0  # units of the time base
        self._before = 0  # frames of a transition that ends where the next scene begins
        self._plan = plan
        self._times = times
        self._writer = writer
        self._full_size = full_size
        self._numbers = count()

    def close(self, scene: OpenScene, end: int, transitions: Collection[int]) -> None:
        """Make the clips of a scene, which ends at the time stamp `end`; of a transition, none."""
        times = scene.times
        times.append(end)
        self.longest_gap = max(self.longest_gap, int(np.diff(np.frombuffer(times, "i8")).max()))
        if scene.start in transitions:
            self._leave_out(scene)
            return
        time_base, lengths = self._times.rate.time_base, self._plan.lengths
        shortest = ticks(lengths.shortest, time_base)
        position, before, self._before = 0, self._before, 0
        for piece in pieces(times, time_base, lengths):
            self.leftover += piece.first - position  # cut off from the piece before
            position = piece.after
            number = next(self._numbers)
            if piece.end - times[piece.first] < shortest:
                self.short += 1
                self.leftover += piece.after - piece.first
                continue
            self.placed += piece.after - piece.first
            jpegs, measures = self._sample(scene, piece)
            self._writer.write(number, measures, jpegs)
            start, num_frames = times[piece.first], piece.after - piece.first
            width, height = scene.store.shape.size
            columns = {
                "num_frames": num_frames,
                "fps": float(num_frames / ((piece.end - start) * time_base)),
                "width": width,
                "height": height,
                "aspect_ratio": height / width,
                "resolution": height * width,
                "start_frame": scene.start + piece.first,
                "start_seconds": self._times.seconds(start),
                "end_seconds": self._times.seconds(piece.end),
                "seconds": measures.seconds,
                **self._hashes(scene, piece, jpegs, measures),
            }
            if self._plan.trim:
                columns["transition_before"] = before if piece.first == 0 else 0
                columns["transition_after"] = 0  # until one is left out
            self.clips.append(NewClip(number, start, piece.end, columns))
        self.leftover += len(times) - 1 - position

    def _leave_out(self, scene: OpenScene) -> None:
        """Make no clip of the frames of a transition."""
        count, start = len(scene.times) - 1, scene.times[0]
        self.leftover += count
        self.faded += count
        self._before = count
        if self.clips and self.clips[-1].end_pts == start:
            touched = self.clips[-1]
            scores = {**touched.scores, "transition_after": count}
            self.clips[-1] = replace(touched, scores=scores)

    def _sample(self, scene: OpenScene, piece: Piece) -> tuple[JpegList, Measures]:
        """The pictures and measures of a clip."""
        store, seconds = scene.store, self._times.seconds
        start, end = scene.times[piece.first], piece.end
        frames, regular, (middle, *ends) = self._choose(scene, piece)
        jpegs = JpegList()
        pictures = [
            jpegs.add(seconds(f.pts, start), store.jpeg(store.encode(f).small)) for f in frames
        ]
        large, *large_ends = [
            jpegs.add(seconds(f.pts, start), store.jpeg(store.encode(f, large=True).large))
            for f in (middle, *ends)
        ]
        pairs = [
            replace(pair, seconds=pair.seconds - seconds(start))
            for index, pair in scene.pairs
            if piece.first < index - scene.start < piece.after
        ]
        shown = [*scene.times[piece.first : piece.after], end]
        long = LONG / self._times.rate.time_base
        held = [(a, b) for a, b in pairwise(shown) if b - a > long]
        if held:  # frames that are shown for long
            spans = [(seconds(a, start), seconds(b, start)) for a, b in held]
            pairs = with_held(pairs, spans, self._plan.camera)
        return jpegs, Measures(
            seconds=seconds(end, start),
            pictures=pictures,
            regular=[i for i, frame in enumerate(frames) if frame.index in regular],
            large=large,
            ends=large_ends,
            pairs=pairs,
            stills=[replace(f.still, seconds=seconds(f.pts, start)) for f in frames if f.still],
            looks=self._full_size.between(start, end, seconds) if self._full_size else None,
            size=store.shape.size,
        )

    def _choose(
        self, scene: OpenScene, piece: Piece
    ) -> tuple[list[SceneFrame], set[int], list[SceneFrame]]:
        """The frames to store of a clip, the indices of its regular ones, and the large ones."""
        start, end = scene.times[piece.first], piece.end
        regular, held = scene.within(piece.first, piece.after)
        chosen = {frame.index: frame for frame in regular or held[:1]}
        indices = set(chosen)
        larges = [0.5, 0.0, 1.0] if self._plan.ends else [0.5]
        large = [nearest(held, start + point * (end - start)) for point in larges]
        for point in POINTS:
            frame = nearest([*chosen.values(), *held], start + point * (end - start))
            chosen.setdefault(frame.index, scene.store.encode(frame))
        if piece.first == 0:
            chosen.setdefault(held[0].index, scene.store.encode(held[0]))
        return [chosen[i] for i in sorted(chosen)], indices, large

    def _hashes(
        self, scene: OpenScene, piece: Piece, jpegs: JpegList, measures: Measures
    ) -> dict[str, str | None]:
        """The hashes of a clip; of what is inside its bars, where these were measured."""
        size = scene.store.shape.size
        seen = [still.bars for still in measures.stills if still.bars is not None]
        box = common_box(seen, *size) if seen else None
        middle = min(measures.pictures, key=lambda p: abs(p.seconds - measures.seconds / 2))
        pictures = [
            decode_jpeg(bytes(jpegs.data[p.offset : p.offset + p.size]))
            for p in (measures.pictures[0], middle)
        ]
        if box:
            pictures = [cut_to(box, picture, size) for picture in pictures]
        (first, first_mirrored), (central, central_mirrored) = (
            perceptual_hashes(picture, self._plan.hash, self._plan.views != "none")
            for picture in pictures
        )
        views = {}
        if self._plan.views == "all":
            regular, held = scene.within(piece.first, piece.after)
            frames = {frame.index: frame for frame in (*held, *regular)}
            grays = (scene.store.gray(frames[i]) for i in sorted(frames))
            if box:
                grays = (cut_to(box, gray, size) for gray in grays)
            views["hash_views"] = hash_frames(grays)
        return {
            "hash_first": first,
            "hash_middle": central,
            "hash_first_mirrored": first_mirrored,
            "hash_middle_mirrored": central_mirrored,
            **views,
        }
