"""Networks of a few numbers in the place of published ONNX files, and clips for them to see."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from curate.tasks.models.catalog import CATALOG, Download
from curate.tasks.models.onnx_graph import OnnxGraph
from curate.tasks.stage import Clip, Video
from curate.tasks.video.geometry import RGB
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples
from tests import tiny


def publish(patch: pytest.MonkeyPatch, home: Path, name: str, content: bytes) -> Path:
    """The folder of a model of the catalogue, whose published file is now this content."""
    model = CATALOG[name]
    sha256 = hashlib.sha256(content).hexdigest()
    files = (Download("", model.files[0].name, len(content), sha256),)
    patch.setitem(CATALOG, name, replace(model, files=files))
    folder = home / "models" / name
    folder.mkdir(parents=True)
    (folder / files[0].name).write_bytes(content)
    return folder


def publish_minilm(patch: pytest.MonkeyPatch, home: Path) -> Path:
    """The folder of a tiny all-MiniLM-L6-v2, whose files are now the published ones."""
    model = CATALOG["all-minilm-l6-v2"]
    folder = tiny.write_minilm(home / "models" / model.name)
    files = tuple(
        replace(file, sha256=hashlib.sha256((folder / file.name).read_bytes()).hexdigest())
        for file in model.files
    )
    patch.setitem(CATALOG, model.name, replace(model, files=files))
    return folder


def bright_faces() -> bytes:
    """A network in CenterFace's place, for pictures of 32 x 32 like the published one: how bright a
    square of 4 pixels is says how likely it is the middle of a face of 16 x 16.
    """
    graph = OnnxGraph("bright")
    pixels = graph.input("input.1", "float32", (10, 3, 32, 32))
    scale = graph.constant(np.float32(1 / 255))
    graph.input(scale, "float32", ())  # the published file, too, lists its weights as inputs
    gray = graph.node("ReduceMean", pixels, graph.integers(1), keepdims=1)
    gray = graph.node("AveragePool", gray, kernel_shape=[4, 4], strides=[4, 4])
    heat = graph.node("Mul", gray, scale)
    nothing = graph.node("Mul", gray, graph.constant(np.float32(0)))
    offset = graph.node("Concat", nothing, nothing, axis=1)
    graph.output(heat, "537", (10, 1, 8, 8))
    size = graph.node("Add", offset, graph.constant(np.log(np.float32(16 / 4))))
    graph.output(size, "538", (10, 2, 8, 8))
    graph.output(offset, "539", (10, 2, 8, 8))
    return graph.serialized()


def loud_speech() -> bytes:
    """A network in Silero VAD's place: how loud a window is says how likely it is speech.

    Silence after sound counts half as much as the window before it, by the state.
    """
    graph = OnnxGraph("loud")
    sound = graph.input("input", "float32", (1, 576))
    before = graph.input("state", "float32", (2, 1, 128))
    graph.input("sr", "int64", ())
    window = graph.node("Slice", sound, *(graph.integers(n) for n in (64, 576, 1)))
    mean = graph.node("ReduceMean", graph.node("Abs", window), graph.integers(1), keepdims=1)
    ends = [graph.constant(np.float32(end)) for end in (0, 1)]
    loud = graph.node("Clip", graph.node("Mul", mean, graph.constant(np.float32(8))), *ends)
    last = graph.node("ReduceMax", before, graph.integers(0, 1, 2), keepdims=0)
    half = graph.node("Mul", last, graph.constant(np.float32(0.5)))
    likely = graph.node("Max", loud, half)
    graph.output(likely, "output", (1, 1))
    zeros = graph.node("Mul", before, graph.constant(np.float32(0)))
    graph.output(graph.node("Add", zeros, likely), "stateN", (2, 1, 128))
    return graph.serialized()


def voice(seconds: float = 2.0) -> NDArray[np.float32]:
    """Vowels of a drawn voice at 16 kHz, four a second, that falls silent after three quarters."""
    time = np.arange(round(seconds * 16000)) / 16000
    pitch = 120 + 15 * np.sin(2 * np.pi * 1.5 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    vowels = np.array([(730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (530, 1840, 2480)])
    formants = vowels[(time * 4).astype(int) % len(vowels)].T
    sound = np.zeros_like(time)
    for number in range(1, 30):
        far = (number * pitch - formants) / 90
        sound += (1 / (1 + far**2)).sum(axis=0) * np.sin(number * phase) / number**0.5
    sound *= np.sin(np.pi * 4 * time) ** 2 * (time < 0.75 * seconds)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def clip_of(folder: Path, pictures: Sequence[RGB], seconds: float | None = None) -> Clip:
    """A clip with these sampled frames, a second apart; a still image has 0 seconds."""
    jpegs = JpegList()
    stored = [jpegs.add(float(n), encode_jpeg(picture)) for n, picture in enumerate(pictures)]
    length = float(len(pictures)) if seconds is None else seconds
    measures = Measures(length, stored, list(range(len(stored))), stored[0])
    with writing_samples(folder, 1) as writer:
        writer.write(0, measures, jpegs)
    return Clip(1, 1, 0, Video(1, 1, "/a.mp4", "a.mp4", {}), 0, 1, Fraction(1), {}, folder)


def drawn(kind: str) -> RGB:
    """A picture of noise or of waves."""
    random = np.random.RandomState(0)
    if kind == "noise":
        return random.randint(0, 256, (150, 100, 3)).astype(np.uint8)
    rows, columns = np.mgrid[:90, :200]
    waves = np.stack([rows * columns // 40, rows * 3, columns * 2], axis=2)
    return (waves % 256).astype(np.uint8)
