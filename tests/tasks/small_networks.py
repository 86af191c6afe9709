"""Networks of a few numbers in the place of published ONNX files, and clips for them to see."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curate.tasks.models.catalog import CATALOG, Download
from curate.tasks.stage import Clip, Video
from curate.tasks.video.geometry import RGB
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples


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
