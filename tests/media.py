"""Draws small test videos with PyAV: sound ones with the truth about them, and bad ones.

`draw(kind, folder)` makes one of SOUND, `draw_bad(kind, folder)` one of BAD or DAMAGED;
`write_video` encodes any frames. The pictures and their frame numbers are those of `tests.drawing`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import av
import numpy as np
from av.stream import Disposition

from curate.tasks.video.graphs import chain
from tests.drawing import TEXT, Image, NoNumberError, Style, footage, frame_number, picture

if TYPE_CHECKING:
    import cv2

__all__ = [
    "BAD", "B_FRAMES", "CLOSED", "COUNT", "CUT", "DAMAGED", "LONG_GOP", "MATRICES", "ODD_NAMES",
    "OPEN_GOP", "SOUND", "TEXT", "Drawn", "Encoding", "Image", "NoNumberError", "Style", "Track",
    "draw", "draw_bad", "footage", "frame_number", "opencv_reader", "picture", "write_image",
    "write_tracks", "write_video",
]  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """How frames become a file. `pts` are in units of `time_base`; None: 0, 1, 2 … at `rate`."""

    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    rate: Fraction = Fraction(24)
    pix_fmt: str = "yuv420p"
    pts: Sequence[int] | None = None
    time_base: Fraction | None = None
    shift: int = 0  # added to every packet's time stamps after encoding
    rotation: int = 0  # degrees clockwise that a player turns the stored pixels by
    # a, b, c, d of a display matrix: the pixel (x, y) is shown at (ax + cy, bx + dy)
    matrix: tuple[int, int, int, int] | None = None
    sar: Fraction | None = None
    audio: float | None = None  # seconds of a quiet tone, or no audio
    container: dict[str, str] = field(default_factory=dict)
    fields: Literal["", "tff", "bff"] = ""  # frames are flagged as interlaced, this field first
    bt709: bool = False  # tag the stream as BT.709, limited range

    def x264(self, **params: object) -> Encoding:
        """The same with x264 parameters (underscores for hyphens)."""
        text = ":".join(f"{k.replace('_', '-')}={v}" for k, v in params.items())
        return replace(self, options=self.options | {"x264-params": text})


CLOSED = Encoding().x264(keyint=12, bframes=0, scenecut=0)
B_FRAMES = Encoding().x264(keyint=24, bframes=3, b_adapt=0, scenecut=0)
OPEN_GOP = Encoding().x264(
    keyint=12, bframes=3, b_adapt=0, b_pyramid="normal", scenecut=0, open_gop=1
)
LONG_GOP = Encoding().x264(keyint=1000, bframes=2, b_adapt=0, scenecut=0)


def write_video(path: Path, frames: Iterable[Image], encoding: Encoding = CLOSED) -> Path:
    """Encode RGB frames to path; the container follows from its extension. Returns path."""
    with av.open(str(path), "w", options=encoding.container) as output:
        stream = None
        tone = _audio_stream(output, path.suffix) if encoding.audio else None
        packets: list[av.Packet[Any]] = []
        for index, image in enumerate(frames):
            stream = stream or _video_stream(output, image, encoding)
            packets += stream.encode(_frame(image, index, encoding))
        if stream is not None:
            packets += stream.encode(None)
        if tone is not None:
            output.mux(list(_tone(tone, encoding.audio or 0)))
        for packet in packets:
            _shift(packet, encoding.shift)
            output.mux(packet)
    if encoding.codec == "libsvtav1" and hasattr(os, "sched_setscheduler"):
        # as root it gives this process a real-time priority, which all that it starts would inherit
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def _shift(packet: av.Packet[Any], shift: int) -> None:
    if packet.pts is not None:
        packet.pts += shift
    if packet.dts is not None:
        packet.dts += shift


def _video_stream(
    output: av.container.OutputContainer, image: Image, encoding: Encoding
) -> av.VideoStream:
    usual = {"preset": "veryfast", "crf": "20"} if encoding.codec == "libx264" else {}
    if encoding.fields:
        usual |= {"flags": "+ildct+ilme"}
    options = {"threads": "1"} | usual | encoding.options
    stream = output.add_stream(encoding.codec, rate=encoding.rate, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt = encoding.pix_fmt
    if encoding.time_base is not None:
        stream.time_base = stream.codec_context.time_base = encoding.time_base
    if encoding.bt709:
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = (
            1,
            1,
            1,
            1,
        )
    if encoding.sar is not None:
        stream.codec_context.sample_aspect_ratio = encoding.sar
    if encoding.codec in ("mpeg4", "mpeg2video"):
        stream.codec_context.qmin, stream.codec_context.qmax = 2, 4
    if encoding.rotation:
        stream.set_display_rotation(-encoding.rotation)  # ffmpeg counts counter-clockwise
    if encoding.matrix is not None:
        a, b, c, d = (value << 16 for value in encoding.matrix)
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
    return stream


def _frame(image: Image, index: int, encoding: Encoding) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=encoding.pix_fmt)
    if encoding.fields:
        frame.time_base = 1 / encoding.rate  # the graph's
        graph = chain(frame, [f"setfield={encoding.fields}"])
        graph.vpush(frame)
        frame = graph.vpull()
    if encoding.bt709:
        frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = 1, 1, 1, 1
    frame.time_base = encoding.time_base or 1 / encoding.rate
    frame.pts = index if encoding.pts is None else encoding.pts[index]
    return frame


# what a player makes of a stored picture, by the display matrix
MATRICES: dict[tuple[int, int, int, int], Callable[[Image], Image]] = {
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (-1, 0, 0, -1): lambda p: np.rot90(p, 2),
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),
    (0, -1, 1, 0): np.rot90,
    (0, 1, 1, 0): lambda p: np.transpose(p, (1, 0, 2)),
    (0, -1, -1, 0): lambda p: np.rot90(np.transpose(p, (1, 0, 2)), 2),
    # no area is left: not turned
    (0, 0, 0, 0): lambda p: p,
    (1, 0, 0, 0): lambda p: p,
    (1, 1, 1, 1): lambda p: p,
}


@dataclass(frozen=True)
class Track:
    """A video stream of a file with several."""

    frames: Sequence[Image]
    codec: str = "libx264"
    default: bool = False


def write_tracks(path: Path, *tracks: Track) -> Path:
    """Write a file of several video streams, which all begin at 0. Returns path."""
    with av.open(str(path), "w") as output:
        streams = []
        for track in tracks:
            pix_fmt = "yuvj420p" if track.codec == "mjpeg" else "yuv420p"
            encoding = Encoding(track.codec, pix_fmt=pix_fmt)
            stream = _video_stream(output, track.frames[0], encoding)
            stream.disposition = Disposition.default if track.default else Disposition(0)
            streams.append((stream, track, encoding))
        packets = []
        for stream, track, encoding in streams:
            for index, image in enumerate(track.frames):
                packets += stream.encode(_frame(image, index, encoding))
            packets += stream.encode(None)
        output.mux(packets)
    return path


def _audio_stream(output: av.container.OutputContainer, suffix: str) -> av.AudioStream:
    stream = output.add_stream("mp2" if suffix in (".mpg", ".ts", ".m2ts") else "aac", rate=44100)
    assert isinstance(stream, av.AudioStream)
    return stream


def _tone(stream: av.AudioStream, seconds: float) -> Iterator[av.Packet[Any]]:
    samples = (np.sin(np.arange(int(44100 * seconds)) / 20) * 0.1).astype(np.float32)
    size = stream.codec_context.frame_size or 1024
    for start in range(0, len(samples), size):
        frame = av.AudioFrame.from_ndarray(
            samples[None, start : start + size].repeat(2, 0), "fltp", "stereo"
        )
        frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def opencv_reader(path: Path) -> cv2.VideoCapture:
    """A second reader of a file, which turns pictures upright as its display matrix says."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    # by itself, OpenCV 4.11 does not turn and OpenCV 5 does
    assert capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


@dataclass(frozen=True)
class Drawn:
    """A sound file and the truth about it: the frame numbers a player shows, their times, and the
    cuts.
    """

    path: Path
    numbers: list[int]
    seconds: list[float]  # from the first shown frame
    cuts: tuple[int, ...]  # places in `numbers` where a new scene starts


COUNT, CUT = 48, 20  # frames and the cut of every sound drawing
_VFR = [i * 25 + i // 3 * 40 for i in range(COUNT)]  # pts in 1/600 s: mostly 24 a second, with gaps

_SOUND: dict[str, tuple[str, Encoding]] = {
    "closed": ("closed.mp4", CLOSED),
    "b_frames": ("b.mp4", B_FRAMES),  # the B-frame delay becomes an edit list
    "open_gop": ("open.mp4", OPEN_GOP),
    "long_gop": ("long.mov", LONG_GOP),
    "m4v": ("b.m4v", B_FRAMES),
    "mkv": ("b.mkv", B_FRAMES),
    "webm": (
        "v.webm",
        Encoding("libvpx", {"deadline": "realtime", "cpu-used": "8", "crf": "8", "b": "2M"}),
    ),
    "avi": ("b.avi", Encoding("mpeg4", {"bf": "2"})),  # its first pts is one frame, not 0
    "avi_h264": ("h264.avi", CLOSED),
    "mpg": ("p.mpg", Encoding("mpeg2video", audio=2.0)),
    "ts": ("b.ts", replace(OPEN_GOP, audio=2.0)),
    "m2ts": ("b.m2ts", B_FRAMES),
    "vfr": ("vfr.mp4", replace(B_FRAMES, pts=_VFR, time_base=Fraction(1, 600))),
    "vfr_mkv": (
        "vfr.mkv",
        replace(B_FRAMES, pts=[p * 5 // 3 for p in _VFR], time_base=Fraction(1, 1000)),
    ),
    "offset_mkv": ("off.mkv", replace(B_FRAMES, shift=24 * 39)),
    "offset_ts": ("off.ts", replace(OPEN_GOP, shift=24 * 39)),
    "late_video": ("late.mp4", replace(B_FRAMES, shift=29, audio=2.5)),  # audio leads by 1.2 s
    "trimmed": ("trim.mp4", replace(B_FRAMES, shift=-7)),  # an edit list hides the first 7 frames
    "rotated90": ("r90.mp4", replace(B_FRAMES, rotation=90)),
    "rotated180": ("r180.mov", replace(B_FRAMES, rotation=180)),
    "rotated270": ("r270.mp4", replace(CLOSED, rotation=270)),
    "anamorphic": ("sar.mp4", replace(CLOSED, sar=Fraction(16, 11))),
    "ten_bit": ("ten.mp4", replace(CLOSED, pix_fmt="yuv420p10le")),
    "yuv444": ("y444.mkv", replace(CLOSED, pix_fmt="yuv444p")),
    "odd": ("odd.mkv", Encoding("ffv1")),
    "audio": ("audio.mp4", replace(CLOSED, audio=2.0, bt709=True)),
}
SOUND = tuple(_SOUND)


def draw(kind: str, folder: Path, size: tuple[int, int] = (160, 96)) -> Drawn:
    """Draw one of SOUND into folder: 48 frames, shown upright as `size` (161x97 for odd), cut at
    frame 20.
    """
    path = folder / _SOUND[kind][0]
    path.write_bytes(_drawn(kind, size))
    hidden = 7 if kind == "trimmed" else 0
    ticks = [p / 600 for p in _VFR] if kind.startswith("vfr") else [i / 24 for i in range(COUNT)]
    seconds = [t - ticks[hidden] for t in ticks[hidden:]]
    return Drawn(path, list(range(hidden, COUNT)), seconds, (CUT - hidden,))


@cache
def _drawn(kind: str, size: tuple[int, int]) -> bytes:
    """The file of one of SOUND; many tests draw the same."""
    name, encoding = _SOUND[kind]
    frames = footage(COUNT, (CUT,), size=(161, 97) if kind == "odd" else size)
    stored = [np.ascontiguousarray(np.rot90(f, encoding.rotation // 90)) for f in frames]
    with TemporaryDirectory() as folder:
        return write_video(Path(folder) / name, stored, encoding).read_bytes()


def _damage(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


def _front(raw: bytes) -> bytes:
    return raw[: len(raw) * 6 // 10]


def _hole(raw: bytes) -> bytes:
    start, length = len(raw) // 2, len(raw) // 20
    return raw[:start] + np.random.default_rng(1).bytes(length) + raw[start + length :]


def _long(path: Path, encoding: Encoding = B_FRAMES) -> Path:
    return write_video(path, footage(2 * COUNT, (CUT,)), encoding)


def _no_size(raw: bytes) -> bytes:
    return raw.replace(struct.pack("<II", 160, 96), struct.pack("<II", 0, 0))


def _audio_only(path: Path) -> Path:
    return write_video(path, [], Encoding(audio=1.0))


def _written(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


_FASTSTART = replace(B_FRAMES, container={"movflags": "faststart"})
_BAD: dict[str, Callable[[Path], Path]] = {
    "empty": lambda d: _written(d / "empty.mp4", b""),
    "text": lambda d: _written(d / "text.mp4", b"this is not a video\n" * 50),
    "random": lambda d: _written(d / "random.mp4", np.random.default_rng(0).bytes(5000)),
    "moov_missing": lambda d: _damage(_long(d / "nomoov.mp4"), _front),
    "audio_only": lambda d: _audio_only(d / "sound.m4v"),
    "no_size": lambda d: _damage(
        write_video(d / "zero.avi", footage(2), Encoding("rawvideo")), _no_size
    ),
    "directory": lambda d: (d / "folder.mp4").mkdir() or d / "folder.mp4",  # type: ignore[func-returns-value]
    "broken_link": lambda d: (d / "link.mp4").symlink_to("nowhere") or d / "link.mp4",  # type: ignore[func-returns-value]
    "image": lambda d: _written(d / "broken.png", b"\x89PNG\r\n\x1a\n" + b"no picture"),
}
_DAMAGED: dict[str, Callable[[Path], Path]] = {  # part of each still decodes
    "truncated": lambda d: _damage(_long(d / "front.mp4", _FASTSTART), _front),
    "corrupt": lambda d: _damage(_long(d / "hole.mp4", _FASTSTART), _hole),
    "ts_cut": lambda d: _damage(_long(d / "front.ts"), _front),
}
BAD, DAMAGED = tuple(_BAD), tuple(_DAMAGED)


def draw_bad(kind: str, folder: Path) -> Path:
    """Make one of BAD (nothing to decode) or DAMAGED (96 frames, of which a part decodes) in
    folder.
    """
    return (_BAD | _DAMAGED)[kind](folder)


# Names a file may have. A file that its owner may not read cannot be tested as root, who reads
# everything.
ODD_NAMES = (
    b"with space.mp4", b"it's \"quoted\".mp4", b"new\nline.mp4",
    "\N{CLAPPER BOARD} \u00e9.mp4".encode(),
    b"caf\xe9.mp4", b"50%25.mp4", b"a:b.mp4", b"-dash.mp4", b"UPPER.MP4",
)  # fmt: skip


def write_image(path: Path, image: Image | None = None) -> Path:
    """Write a still picture with PIL; the format follows from the extension."""
    from PIL import Image as Pictures

    Pictures.fromarray(picture(5) if image is None else image).save(path)
    return path
