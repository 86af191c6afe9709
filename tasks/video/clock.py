"""One clock for the whole of a source: it goes on where the source's own starts again or jumps.

Parts of a transport stream or of a DVD that were joined, and recordings that were interrupted, each
begin with a time of their own. Here their time stamps are continued: what follows a jump is shown
right after what came before it.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, TypeVar, cast

from av.container import InputContainer
from av.video.stream import VideoStream

# Seconds. Time stamps that go back by more are a jump; less is jitter.
_JITTER = Fraction(1, 10)
# Where parts overlap by less, their sound tells them apart by its place in the file, not its time.
_OVERLAP = Fraction(1, 2)
# Packets that a picture may be stored behind though it is shown before them: in H.264, those of 16
# pictures, of two fields each.
_REORDERED = 32
# A longer step forward is a jump too, where a format has a clock for all its streams.
_LEAP = Fraction(10)
_LEAPING = ("mpegts", "mpeg")  # transport streams; program streams, as of DVDs
# Packets without time stamps that are kept until the first with one, at the start of a file.
_UNSTAMPED = 1000


class Stamped(Protocol):
    """A packet, as far as the clock is concerned."""

    pts: int | None
    dts: int | None
    pos: int | None
    is_keyframe: bool


StampedT = TypeVar("StampedT", bound=Stamped)


def believable(duration: int | None, step: int) -> int:
    """The duration of a frame, or `step` where there is none, or but a tick, as ffmpeg says of
    fields in raw H.264.
    """
    return duration if duration and (duration > 1 or step <= 2) else step


@dataclass(frozen=True)
class Jump:
    """Where a source's clock starts again or jumps."""

    start: int  # the first time stamp behind it, as continued
    offset: int  # added to the source's time stamps from there on
    place: int  # in the file, in bytes


@dataclass
class Clock:
    """The clock of one video stream, for one reading of it from the start.

    All time stamps are in units of `time_base` seconds.
    """

    step: int  # duration of a frame at the average rate; at least 1
    time_base: Fraction
    leaps: bool = False  # whether a long step forward is a jump
    jumps: list[Jump] = field(default_factory=list)  # up to here
    frames: int = 0  # that `rising` was asked for
    # whether decoding from any keyframe on gives the same times as decoding from the start; not
    # where frames have other times than the source stores, from a keyframe on: it stores none, or
    # equal ones in a coarse time base
    searchable: bool = True
    _last: int | None = None  # as `rising` gave it
    _gap: int = 0  # from the one before to that
    # when each of the last packets is decoded and shown, as the source has it
    _recent: deque[tuple[int | None, int]] = field(default_factory=lambda: deque(maxlen=_REORDERED))
    _end: int | None = None  # of all frames up to here, as continued
    _behind_key: bool = False  # whether the last packet is a keyframe

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> Clock:
        """A clock for the stream, at its start."""
        time_base = stream.time_base or Fraction(1, 90000)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        step = max(1, round(1 / (rate * time_base)))
        return cls(step, time_base, container.format.name in _LEAPING)

    def continued(self, packets: Iterable[StampedT]) -> Iterator[StampedT]:
        """The packets, with their time stamps continued.

        Behind a jump, the one that is shown first is shown right after the last one before it.
        """
        remaining = iter(packets)
        head = list(itertools.islice(remaining, 1))
        if head and head[0].pts is None and head[0].dts is None:
            head += self._until_stamped(remaining)
        # behind a jump, until the first shown is among them; with the times at which they are
        waiting: list[tuple[StampedT, int | None]] = []
        for packet in itertools.chain(head, remaining):
            shown = packet.dts if packet.pts is None else packet.pts
            if self._is_jump(packet, shown):
                yield from self._begin(waiting)
                waiting = [(packet, shown)]
            elif not waiting:
                yield self._shifted(packet, shown)
            else:
                waiting.append((packet, shown))
                first = waiting[0][1]
                is_later = shown is None or first is None or shown > first
                if is_later or len(waiting) > _REORDERED:
                    yield from self._begin(waiting)
                    waiting = []
        if waiting:
            yield from self._begin(waiting)

    def rising(self, pts: int | None, duration: int | None = None) -> int:
        """The time stamp of the next frame in the order of the decoder's output.

        It is pts where that is later than the frame before; else one unit later than that. A frame
        without pts comes after the `duration` of one frame.
        """
        if pts is None:
            last = self._last
            pts = 0 if last is None else last + believable(duration, self.step)
        elif self._last is not None and pts <= self._last:
            pts = self._last + 1
        self._gap = pts - (self._last or 0)
        self._last = pts
        self.frames += 1
        return pts

    def end(self, first: int, duration: int | None, *, fields: bool) -> int:
        """The end of the last frame that `rising` was asked for; `first` is the pts of the first.

        `duration` is what the source says of it. Where frames may consist of `fields` that are
        stored apart, that is the duration of one field, half of what lies between two frames.
        """
        last = cast(int, self._last)
        duration = believable(duration, self.step)
        are_apart = 2 * (last - first) > 3 * duration * (self.frames - 1)
        if fields and are_apart and abs(self._gap - 2 * duration) <= 1:
            duration = self._gap
        return last + duration

    def _until_stamped(self, packets: Iterator[StampedT]) -> list[StampedT]:
        """Those of the packets behind the first, which has no time stamp, that tell when it ends.

        Frames before the first time stamp are to end where it begins: Matroska stores no time stamp
        before 0.
        """
        head: list[StampedT] = []
        stamps: list[int] = []
        unstamped = 0  # before the last one with a time stamp
        for packet in packets:
            head.append(packet)
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None:
                stamps.append(stamp)
                unstamped = 1 + len(head) - len(stamps)
            if len(stamps) > _REORDERED or len(head) >= _UNSTAMPED:
                break
        if unstamped:
            self._last = min(stamps) - (unstamped + 1) * self.step
        return head

    def _is_jump(self, packet: Stamped, shown: int | None) -> bool:
        """Whether the source's clock jumps before the packet, which is shown at `shown`."""
        if shown is None:
            return False
        is_jump = False
        if self._recent:
            now, before = packet.dts, self._recent[-1][0]
            if now is None or before is None:  # times of showing, which are not in order
                now = shown if now is None else now
                before = min(shown for _, shown in self._recent)
            is_jump = now < before and before - now > round(_JITTER / self.time_base)
            # what is stored before a keyframe is shown before it; elsewhere equal times are jitter
            if not is_jump and packet.is_keyframe and not self._behind_key:
                slack = 1 if self.leaps else -(self.step // 2)
                is_jump = shown < max(shown for _, shown in self._recent) + slack
            # a clock that went back once may go forth again
            if not is_jump and (self.leaps or self.jumps):
                ahead = now - max(shown for _, shown in self._recent)
                is_jump = ahead > _REORDERED * self.step and ahead > round(_LEAP / self.time_base)
        if is_jump:
            self._recent.clear()
        self._recent.append((packet.dts, shown))
        self._behind_key = packet.is_keyframe
        return is_jump

    def _begin(self, packets: list[tuple[StampedT, int | None]]) -> Iterator[StampedT]:
        """Place the packets behind a jump; they come with the times at which they are shown."""
        stamps = [shown for _, shown in packets if shown is not None]
        if stamps and self._end is not None:
            place = next((p.pos for p, _ in packets if p.pos is not None), 0)
            self.jumps.append(Jump(self._end, self._end - min(stamps), place))
        return itertools.starmap(self._shifted, packets)

    def _shifted(self, packet: StampedT, shown: int | None) -> StampedT:
        """The packet, which is shown at `shown`, with its time stamps as continued."""
        offset = self.jumps[-1].offset if self.jumps else 0
        if packet.dts is not None and offset:
            packet.dts += offset
        if packet.pts is not None and offset:
            packet.pts += offset
        end = None if shown is None else shown + offset + self.step
        if end is not None and (self._end is None or end > self._end):
            self._end = end
        return packet


class SoundClock:
    """Moves the time stamps of a sound track by as much as those of the pictures beside it.

    `jumps` are those of the pictures, in units of `time_base` seconds.
    """

    def __init__(self, jumps: Sequence[Jump], time_base: Fraction) -> None:
        self._places = [jump.place for jump in jumps]
        starts = [jump.start * time_base for jump in jumps]
        self._starts = [None, *starts]
        self._ends = [*starts, None]
        self._offsets = [Fraction(0), *(jump.offset * time_base for jump in jumps)]
        moves = [abs(after - before) for before, after in itertools.pairwise(self._offsets)]
        self._by_place = [*(move <= _OVERLAP for move in moves), False]  # by part
        self._part = -1  # the number of jumps before here
        self._last = Fraction(0)

    def continued(self, seconds: Fraction, place: int) -> Fraction | None:
        """The time of the next packet, which lies at `place` in the file, as continued.

        Time stamps that go back are those of the part behind the next jump. At a jump forward,
        they are from the time of its first picture on. None: there are no pictures to the packet.
        """
        here = bisect_right(self._places, place)
        if self._part < 0:
            self._part = here
        elif self._by_place[self._part]:
            self._part += here > self._part
        elif seconds < self._last - _JITTER:
            self._part = min(max(self._part + 1, here), len(self._places))
        self._last = seconds
        while (end := self._ends[self._part]) is not None:
            next_offset = self._offsets[self._part + 1]
            forward = next_offset < self._offsets[self._part]
            if not forward or seconds + next_offset < end:
                break
            self._part += 1
        start, now = self._starts[self._part], seconds + self._offsets[self._part]
        outside = (start is not None and now < start) or (end is not None and now >= end)
        return None if outside else now
