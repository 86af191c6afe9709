"""Finds cuts by TransNetV2, in windows of 100 frames as published, or only where a cut is possible.

Of a window, the middle 50 frames count; 25 before and after them are context. A *gated* finder
places windows where a cheap test sees a change; elsewhere nothing is found and nothing computed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from curate.tasks.models.transnet import CONTEXT, TransNet
from curate.tasks.video.scene_buffer import SceneFrame
from curate.tasks.video.scenes import Candidate, CutFinder

THRESHOLD = 0.5  # as published
# frames a second; of slower footage, where each frame is another, the network finds half as many
# cuts as the detector adaptive (docs/shots.md)
SLOWEST = 3.0
SHORTEST = 4  # frames of a transition; fewer are a cut
QUIET = 4  # frames without any sign that end a cut or transition: a fade may be black between
FLASH = 8  # frames of a flash or drop-out, or of a shot between two parts of another
LONGEST = 250  # frames of a transition: what goes on for longer is decided as it is
DARKER = 0.5  # natural logarithm of how much the light changes over LOOK_BACK frames: a dark fade
LOOK_BACK = 12  # frames between those that the cheap test compares
BEFORE = 16  # frames before one that the test marks for which the network is asked

Thumbnail = NDArray[np.uint8]  # 27 x 48 x 3, RGB


class Gate:
    """A cheap test of thumbnails: whether a cut or transition is possible around a frame.

    It compares the colours of a frame, which motion within the picture hardly changes, its coarse
    picture and its light with those one frame and LOOK_BACK frames before. benchmarks/shots.py
    tells what it misses; the levels were set on its films and on Sintel's trailer.
    """

    def __init__(self) -> None:
        self._colours: deque[NDArray[np.float32]] = deque(maxlen=LOOK_BACK + 1)
        self._cells: deque[NDArray[np.float32]] = deque(maxlen=LOOK_BACK + 1)
        self._steps: deque[float] = deque(maxlen=LOOK_BACK)  # changes from frame to frame

    def opens(self, thumbnail: Thumbnail) -> bool:
        """Whether the network is to be asked about the frames around this one, the next of all."""
        bins = (thumbnail >> 6).astype(np.intp)
        codes = (bins[..., 0] << 4) + (bins[..., 1] << 2) + bins[..., 2]
        counts = np.bincount(codes.ravel(), minlength=64).astype(np.float32)
        self._colours.append(counts / codes.size)
        grid = thumbnail.reshape(9, 3, 12, 4, 3).mean(axis=(1, 3), dtype=np.float32)
        self._cells.append(grid)
        near = max(-2, -len(self._cells))
        # shares of the colours that changed, 0 to 1, and mean changes of the cells, 0 to 255
        colours, colours_far = (
            float(np.abs(self._colours[-1] - self._colours[place]).sum() / 2) for place in (near, 0)
        )
        cells, cells_far = (float(np.abs(grid - self._cells[place]).mean()) for place in (near, 0))
        usual = sum(self._steps) / max(1, len(self._steps))
        self._steps.append(cells)
        light = abs(float(np.log((grid.mean() + 2) / (self._cells[0].mean() + 2))))
        sudden = (cells >= 5 and cells >= 4 * usual) or (colours >= 0.15 and cells >= 8)
        return sudden or (colours_far >= 0.25 and cells_far >= 12) or light >= DARKER


class LearnedCuts(CutFinder):
    """The first frames of scenes by TransNetV2, up to some hundred frames late.

    With `trim` the frames of a transition are a scene of their own, which `transitions` names by
    its first frame. Without, a transition is one cut, where the network is surest.
    """

    def __init__(
        self,
        network: TransNet,
        threshold: float | None = None,
        min_scene_len: int | float = 15,
        gate: Gate | None = None,
        trim: bool = False,
    ) -> None:
        self._network = network
        self._level = THRESHOLD if threshold is None else threshold
        self._apart = min_scene_len
        self._gate = gate
        self._trim = trim
        self._step = network.window - 2 * CONTEXT
        self._frames: deque[Candidate] = deque()  # that are kept, with
        self._thumbnails: deque[Thumbnail] = deque()
        self._first = 0  # index of the first of them
        self._start: int | None = None  # of the part
        self._spans: deque[int] = deque()  # first frames of the middles of windows to come
        self._planned = 0  # the first frame that no window covers yet
        self._found: dict[int, tuple[float, float]] = {}
        self._event: list[int] = []  # frames with a sign of the cut or transition that goes on
        self._last_sign = 0  # the last frame with one, be it faint
        # of a transition that has begun: in the black of a fade 0.25 to 0.5 was seen
        self._faint = self._level / 2
        self._last_cut: Candidate | None = None
        self.transitions: dict[int, int] = {}  # first frames, and how many each has
        self.settled = 0
        self.asked = 0  # windows

    def push(self, frame: Candidate) -> list[int]:
        """As `CutFinder.push`, by thumbnails."""
        index, picture = frame.index, frame.thumbnail
        frame.decoded = None  # only its time is needed later
        if self._start is None:
            self._start = self._first = self._planned = self.settled = index
            self._last_cut = frame
        self._frames.append(frame)
        self._thumbnails.append(picture)
        if self._gate is None:
            if index >= self._planned:
                self._plan(index)
        elif self._gate.opens(picture) and index >= self._planned:
            self._plan(max(self._planned, index - BEFORE))
        ready = self._spans and index + 1 >= self._spans[0] + self._step + CONTEXT
        if ready:
            self._ask(self._spans.popleft(), index)
        return self._settle(index, False)

    def flush(self) -> list[int]:
        """The cuts that are yet to come, when there are no more frames."""
        if self._start is None:
            return []
        last = self._frames[-1].index
        while self._spans:
            self._ask(self._spans.popleft(), last)
        return self._settle(last, True)

    def may_begin(self, index: int) -> bool:
        """Whether a frame that BEFORE frames or more have followed may turn out to begin a scene.

        A frame right after a window may: the cut before it is in the window. So may those behind a
        window yet to come, for what it finds may go on.
        """
        if index < self.oldest:
            return False
        return self._gate is None or index <= self._planned or bool(self._spans)

    @property
    def oldest(self) -> int:
        """The first frame that may yet turn out to begin a scene."""
        return self._event[0] if self._event else self.settled

    def _plan(self, first: int) -> None:
        self._spans.append(first)
        self._planned = first + self._step

    def _ask(self, first: int, last: int) -> None:
        """Find the probabilities of the frames of a span; `last` is the last frame there is."""
        begin, end = first - CONTEXT, first + self._step + CONTEXT
        places = np.clip(np.arange(begin, end), self._start, last) - self._first
        window = np.stack([self._thumbnails[max(0, place)] for place in places])
        cuts, transitions = self._network.predict(window)
        self.asked += 1
        for place in range(self._step):
            index = first + place
            if index <= last:
                at = CONTEXT + place
                self._found[index] = float(cuts[at]), float(transitions[at])
        cut, transition = self._found.get(first + self._step - 1, (0.0, 0.0))
        goes_on = cut > self._level or transition > self._faint
        if goes_on and self._planned == first + self._step:
            self._plan(self._planned)

    def _settle(self, index: int, ended: bool) -> list[int]:
        """Decide about all frames whose probabilities are known or that no window will cover."""
        if ended:
            until = index + 1
        elif self._spans:
            until = self._spans[0]
        else:
            until = max(self._planned, self.settled)
            if self._gate is not None:  # a window may yet reach back by BEFORE frames
                until = max(until, index + 1 - BEFORE)
        cuts: list[int] = []
        while self.settled < min(until, index + 1):
            signs = self._found.get(self.settled, (0.0, 0.0))
            lasts = not self._event or self.settled < self._event[0] + LONGEST
            if lasts and max(signs) > self._level:
                self._event.append(self.settled)
                self._last_sign = self.settled
            elif lasts and self._event and signs[1] > self._faint:
                self._last_sign = self.settled
            elif self._event and self.settled >= self._last_sign + QUIET:
                cuts += self._decide(index)
            self.settled += 1
        if ended and self._event:
            cuts += self._decide(index)
        keep = min(self.oldest, index) - CONTEXT - BEFORE - 1
        while self._first < keep:
            self._frames.popleft()
            self._thumbnails.popleft()
            self._found.pop(self._first, None)
            self._first += 1
        return cuts

    def _decide(self, last: int) -> list[int]:
        """The cuts of the event that has ended; `last` is the last frame there is.

        A transition is one cut in its middle, even one down to black and up again, which the
        network sees as two; half the certainty is enough where all its frames say what it is.
        """
        event, self._event = self._event, []
        fading = [i for i in event if self._found[i][1] > self._level]
        surest = max(self._found[i][0] for i in event)
        if len(fading) < SHORTEST:
            cuts = [cut for cut in self._peaks(event) if not self._is_flash(cut, last)]
        elif surest <= self._level / 2:
            return []
        elif self._trim:
            return self._left_out(fading[0], fading[-1] + 1, last)
        else:
            cuts = [(fading[0] + fading[-1] + 1) // 2]
        return [cut for cut in cuts if cut <= last and self._far_enough(cut)]

    def _is_flash(self, cut: int, last: int) -> bool:
        """Whether the picture before a cut comes again within FLASH frames, or that after it was
        there within as many: at most a quarter as far from it as the other side of the cut.
        """
        start, after = max(self._first, cut - 1 - FLASH), min(cut + 1 + FLASH, last + 1)
        seen = [self._thumbnails[i - self._first].astype(np.float32) for i in range(start, after)]
        at = cut - start
        if not 0 < at < len(seen):
            return False
        step = float(np.abs(seen[at] - seen[at - 1]).mean())
        returns = [float(np.abs(one - seen[at - 1]).mean()) for one in seen[at + 1 :]]
        was = [float(np.abs(one - seen[at]).mean()) for one in seen[: at - 1]]
        return 4 * min([*returns, *was], default=step) < step

    def _peaks(self, event: list[int]) -> list[int]:
        """The frames after the surest one of each run of frames that end a shot."""
        peaks: list[int] = []
        run: list[int] = []
        for index in range(event[0], event[-1] + 2):
            if self._found.get(index, (0.0, 0.0))[0] > self._level:
                run.append(index)
            elif run:
                peaks.append(max(run, key=lambda i: self._found[i][0]) + 1)
                run = []
        return peaks

    def _left_out(self, first: int, after: int, last: int) -> list[int]:
        """The cuts before and after the frames of a transition."""
        self.transitions[first] = after - first
        self._last_cut = self._frame(after - 1)
        cuts = [] if first == self._start else [first]
        return [*cuts, after] if after <= last else cuts

    def _far_enough(self, cut: int) -> bool:
        now, last = self._frame(cut), self._last_cut
        if last is None:
            apart = True
        elif isinstance(self._apart, float):
            apart = float((now.pts - last.pts) * now.rate.time_base) >= self._apart
        else:
            apart = cut - last.index >= self._apart
        if apart:
            self._last_cut = now
        return apart

    def _frame(self, index: int) -> Candidate:
        return self._frames[index - self._first]


class LateFrames:
    """Keeps the frames that may turn out to begin a scene: the last ones as they were decoded,
    earlier ones scaled down.
    """

    def __init__(self, finder: LearnedCuts, hold: Callable[[VideoFrame], VideoFrame]) -> None:
        self._finder = finder
        self._hold = hold
        self._recent: deque[SceneFrame] = deque()
        self._kept: deque[SceneFrame] = deque()

    def add(self, frame: SceneFrame) -> None:
        """The next frame, before the finder gets it."""
        self._recent.append(frame)
        while self._kept and self._kept[0].index < self._finder.oldest:
            self._kept.popleft()
        if len(self._recent) > BEFORE + 2:
            oldest = self._recent.popleft()
            if self._finder.may_begin(oldest.index) and oldest.decoded is not None:
                self._kept.append(replace(oldest, decoded=self._hold(oldest.decoded)))

    def find(self, index: int) -> SceneFrame:
        """The frame of this index."""
        return next(f for frames in (self._kept, self._recent) for f in frames if f.index == index)
