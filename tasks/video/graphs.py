"""Graphs of ffmpeg's filters."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from av.filter import Graph
from av.video.frame import VideoFrame


def source(frame: VideoFrame) -> str:
    """The step that begins a graph for frames of this size, format, colour space and range."""
    base = frame.time_base or Fraction(1)
    # with colour space and range, so that a conversion uses the right matrix
    return (
        f"buffer=video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
        f"time_base={base.numerator}/{base.denominator}:"
        f"colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    )


def chain(frame: VideoFrame, steps: Sequence[str]) -> Graph:
    """A graph of one thread that takes frames like this one through the steps, one by one.

    A step is written as for ffmpeg: ``name=options``.
    """
    graph = Graph()
    graph.threads = 1
    steps = [source(frame), *steps, "buffersink"]
    graph.link_nodes(*(graph.add(*step.split("=", 1)) for step in steps)).configure()
    return graph
