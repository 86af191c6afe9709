"""Tone-maps HDR pictures, whose transfer is PQ or HLG, to BT.709 as SDR has it.

swscale does that (``scale=out_primaries=bt709:out_transfer=bt709:intent=perceptual``), but computes
its tables for seconds whenever the size of the pictures changes. Here it maps a lattice of colours,
once in a process, and ffmpeg's lut3d interpolates between them in pictures of any size.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc

from curate.tasks.video.graphs import chain

HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # transfers: PQ and HLG
_STEPS = 33  # values of each of the three colours in the lattice
_SCALE = "scale={}:{}:flags=bicubic+accurate_rnd"
_TONE_MAP = "scale=out_primaries=bt709:out_transfer=bt709:intent=perceptual"
_TO_YUV = (
    "setparams=color_primaries=bt709:color_trc=bt709",
    "scale=out_color_matrix=bt709:out_range=limited:flags=bicubic+accurate_rnd",
    "format=yuv420p",
)

_cubes: dict[tuple[int, int, bytes], str] = {}


@dataclass
class ToneMapper:
    """Tone-maps the frames of one video, by what its first HDR frame says of the display that it
    was mastered on. Metadata that change from frame to frame (HDR10+, Dolby Vision) are not used.
    """

    _cube: str | None = None
    _graphs: dict[tuple[object, ...], Graph] = field(default_factory=dict)

    def __call__(self, frame: VideoFrame, size: tuple[int, int]) -> VideoFrame:
        """A frame whose transfer is in HDR, at this width and height, as 8-bit 4:2:0 BT.709."""
        form = frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
        key = (*form, *size)
        if key not in self._graphs:
            if self._cube is None:
                self._cube = _cube(frame)
            with tempfile.NamedTemporaryFile("w", suffix=".cube") as file:
                file.write(self._cube)
                file.flush()
                lookup = f"lut3d=file={file.name}"
                steps = [_SCALE.format(*size), "format=gbrp16le", lookup, *_TO_YUV]
                self._graphs[key] = chain(frame, steps)
        self._graphs[key].vpush(frame)
        return self._graphs[key].vpull()


def _cube(frame: VideoFrame) -> str:
    """What swscale makes of each colour in frames like this one: a lattice as a .cube file."""
    try:
        mastering = cast(bytes, frame.side_data.get("MASTERING_DISPLAY_METADATA") or b"")
    except ValueError:  # PyAV cannot list a kind of side data that it does not know
        mastering = b""
    key = (int(frame.color_trc), int(frame.color_primaries), bytes(mastering))
    if key not in _cubes:
        # a frame with the tags and metadata of this one, to be filled with the lattice
        width, height = _STEPS, _STEPS**2
        same = "sidedata=mode=delete:type=DYNAMIC_HDR_PLUS", f"scale={width}:{height}"
        lattice = _through(frame, (*same, "format=rgb48le"))
        (plane,) = lattice.planes
        rows = np.zeros((height, plane.line_size // 2), "<u2")
        values = np.linspace(0, 65535, _STEPS).round()
        blue, green, red = np.meshgrid(values, values, values, indexing="ij")
        rows[:, : 3 * width] = np.stack([red, green, blue], axis=-1).reshape(height, 3 * width)
        plane.update(rows.tobytes())
        mapped = _through(lattice, (_TONE_MAP,))
        colours = mapped.to_ndarray(format="rgb48le").reshape(-1, 3) / 65535
        lines = (f"{r:.5f} {g:.5f} {b:.5f}\n" for r, g, b in colours.tolist())
        _cubes[key] = f"LUT_3D_SIZE {_STEPS}\n" + "".join(lines)
    return _cubes[key]


def _through(frame: VideoFrame, steps: tuple[str, ...]) -> VideoFrame:
    graph = chain(frame, steps)
    graph.vpush(frame)
    return graph.vpull()
