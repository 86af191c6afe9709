"""Films for benchmarks/shots.py: shots of several sources, joined by changes at known frames.

Shots are paintings with things that move before them, photographs (china.jpg, flower.jpg of
scikit-learn) under a moving camera, both with grain, and pieces of real footage: the files of
PIECES in the folder given, where they are. Neighbouring shots are of different pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from sklearn.datasets import load_sample_images  # type: ignore[import-untyped]
from tests.media import CLOSED, Encoding

from benchmarks.stitch import HEIGHT, WIDTH, Image, flash, scene, view, whip

SHORTEST, LONGEST = 30, 60  # frames of a shot between two changes
# by file: the share of its height that is picture, and pieces without a change (first frame,
# frames), seen by eye
PIECES: dict[str, tuple[float, list[tuple[int, int]]]] = {
    "skv_bigbuckbunny.mp4": (1.0, [(0, 132)]),  # animation
    "opencv_box.mp4": (0.75, [(0, 110), (150, 110), (330, 110)]),  # a hand-held camera
    "vtest.avi": (0.75, [(0, 110), (300, 110), (600, 110)]),  # a street, a fixed camera
    # Sintel's trailer, six shots: snow, faces by firelight, a city, a dragon; without its fades,
    # which are changes themselves
    "cc_video_30s.mp4": (
        0.72,
        [(92, 52), (255, 31), (286, 30), (524, 49), (574, 36), (653, 53)],
    ),
}


@dataclass(frozen=True)
class Film:
    """Frames, and the changes of shot: first frame, and the one after the last, of each."""

    frames: Sequence[Image]
    changes: Sequence[tuple[int, int]] = ()
    encoding: Encoding = CLOSED


@dataclass(frozen=True)
class Source:
    """Where shots come from. Two shots of one place look alike and are never neighbours."""

    place: str
    longest: int
    shot: Callable[[int, np.random.Generator], list[Image]]  # so many frames


def grainy(frame: Image, rng: np.random.Generator) -> Image:
    """With the noise of a sensor."""
    return np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255).astype(np.uint8)


def painted(seed: int, count: int, speed: float = 1.5) -> list[Image]:
    """A slow pan, three things that move before it, and grain."""
    painting, rng = scene(seed), np.random.default_rng(seed)
    things = [
        (rng.uniform(0, WIDTH), rng.uniform(40, HEIGHT - 20), *rng.uniform(-3, 3, 2))
        for _ in range(3)
    ]
    inks = [tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in things]
    start = rng.uniform(0, WIDTH)
    frames = []
    for n in range(count):
        frame = view(painting, start + speed * n).copy()
        for (x, y, dx, dy), ink in zip(things, inks, strict=True):
            at = int((x + dx * n) % WIDTH), int(y + dy * 4 * np.sin(n / 9))
            cv2.ellipse(frame, at, (14, 26), 0, 0, 360, ink, -1)
        frames.append(grainy(frame, rng))
    return frames


@cache
def photographs() -> list[Image]:
    """A temple and a flower, 640 x 427."""
    return [np.asarray(image, np.uint8) for image in load_sample_images().images]


def photographed(
    number: int, count: int, rng: np.random.Generator, speed: float = 1.0
) -> list[Image]:
    """A photograph under a camera that pans, tilts and zooms slowly, with grain."""
    picture = photographs()[number % 2]
    size, place, drift = rng.uniform(0.45, 0.7), rng.uniform(0.4, 0.6, 2), rng.normal(0, 0.4, 2)
    zoom = rng.normal(0, 0.001)
    frames = []
    for n in range(count):
        width = picture.shape[1] * min(0.95, size * (1 + speed * zoom * n))
        shape = int(width), int(width * HEIGHT / WIDTH)
        middle = place * picture.shape[1::-1] + speed * drift * n
        seen = cv2.getRectSubPix(picture, shape, (float(middle[0]), float(middle[1])))
        frames.append(grainy(cv2.resize(seen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), rng))
    return frames


@cache
def decoded(path: Path, height: float, first: int, count: int) -> list[Image]:
    """Frames of a file, its middle, scaled to fill the picture."""
    frames = []
    with av.open(str(path)) as container:
        for frame in islice(container.decode(video=0), first, first + count):
            image = frame.to_ndarray(format="rgb24")
            cut = round(image.shape[0] * (1 - height) / 2)
            inside = image[cut : image.shape[0] - cut]
            frames.append(cv2.resize(inside, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
    return [np.asarray(frame, np.uint8) for frame in frames]


def real(folder: Path) -> list[Source]:
    """The pieces of real footage that are there."""
    made = []
    for name, (height, pieces) in PIECES.items():
        for first, length in pieces if (folder / name).is_file() else ():
            at = partial(decoded, folder / name, height, first, length)
            # each shot of a trailer is a place, and all of another file are one
            place = f"{name} {first}" if len(pieces) > 3 else name
            made.append(Source(place, length, partial(part, at)))
    return made


def part(piece: Callable[[], list[Image]], count: int, rng: np.random.Generator) -> list[Image]:
    """So many frames of a piece, from anywhere."""
    frames = piece()
    start = int(rng.integers(len(frames) - count + 1))
    return frames[start : start + count]


def anew(count: int, rng: np.random.Generator) -> list[Image]:
    """A shot of a painting that no other shot has."""
    return painted(int(rng.integers(1 << 20)), count)


def sources(folder: Path) -> list[Source]:
    """Pieces of footage, photographs, and half as many paintings as both."""
    made = real(folder)
    made += [Source(f"photo {n}", 1000, partial(photographed, n)) for n in (0, 1, 0, 1)]
    return made + [Source(f"painting {n}", 1000, anew) for n in range(len(made) // 2)]


def dissolved(one: Image, other: Image, share: float) -> Image:
    """Both, mixed."""
    return (one * (1 - share) + other * share).astype(np.uint8)


def faded(one: Image, other: Image, share: float) -> Image:
    """Down to black, and up."""
    picture, light = (one, 1 - 2 * share) if share < 0.5 else (other, 2 * share - 1)
    return (picture * light).astype(np.uint8)


def wiped(one: Image, other: Image, share: float) -> Image:
    """The other from the left."""
    edge = round(WIDTH * share)
    return np.concatenate([other[:, :edge], one[:, edge:]], axis=1)


Mix = Callable[[Image, Image, float], Image]


class Studio:
    """Draws films of the sources in a folder of footage; the same seed gives the same film."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sources = sources(folder)

    def _shots(
        self, rng: np.random.Generator, number: int, least: int, most: int
    ) -> Iterator[list[Image]]:
        """Shots of `least` to `most` frames, no two neighbours of one place."""
        place = ""
        for _ in range(number):
            fit = [s for s in self._sources if s.place != place and s.longest >= least]
            source = fit[int(rng.integers(len(fit)))]
            place = source.place
            yield source.shot(min(int(rng.integers(least, most + 1)), source.longest), rng)

    def chain(self, seed: int, changes: int, length: int = 0, mix: Mix | None = None) -> Film:
        """Shots joined by changes of `length` frames that `mix` makes of those of both."""
        rng = np.random.default_rng(seed)
        frames: list[Image] = []
        spans, tail = [], []
        shots = self._shots(rng, changes + 1, SHORTEST + 2 * length, LONGEST + 2 * length)
        for number, shot in enumerate(shots):
            if number:
                spans.append((len(frames), len(frames) + length))
            if mix is not None:
                pairs = enumerate(zip(tail, shot[:length], strict=False), 1)
                frames += [mix(one, other, n / (length + 1)) for n, (one, other) in pairs]
            body = shot[length if number else 0 :]
            keep = len(body) - (length if number < changes else 0)
            frames, tail = frames + body[:keep], body[keep:]
        return Film(frames, spans)

    def flashes(self, seed: int, count: int, strength: float) -> list[Film]:
        """Six shots with a flash of so many frames."""
        rng = np.random.default_rng(seed)
        return [Film(flash(s, 20, count, strength)) for s in self._shots(rng, 6, 48, 60)]

    def shaken(self, seed: int) -> list[Film]:
        """Six shots from the hand, some with hard pushes."""
        rng = np.random.default_rng(seed)
        films = []
        for shot in self._shots(rng, 6, 90, 100):
            moves = rng.normal(0, 3, (len(shot), 2))
            moves[40:44] *= 4
            films.append(Film([pushed(f, *xy) for f, xy in zip(shot, moves, strict=True)]))
        return films

    def lapse(self, seed: int, changes: int) -> Film:
        """A frame a second: shots of six frames, each the tenth of footage."""
        rng = np.random.default_rng(seed)
        frames = [f for shot in self._shots(rng, changes + 1, 51, 51) for f in shot[::10]]
        spans = [(6 * n, 6 * n) for n in range(1, changes + 1)]
        return Film(frames, spans, Encoding(rate=Fraction(1)))

    def uneven(self, seed: int, changes: int) -> Film:
        """Frames that are 1 to 4 ticks of 1/60 s apart."""
        film = self.chain(seed, changes)
        steps = np.random.default_rng(seed).integers(1, 5, len(film.frames))
        pts = np.cumsum(steps).tolist()
        encoding = Encoding(rate=Fraction(30), pts=pts, time_base=Fraction(1, 60))
        return replace(film, encoding=encoding)

    def footage(self, name: str, count: int) -> list[Film]:
        """The first frames of a file of footage, one shot; none without the file."""
        path = self._folder / name
        return [Film(decoded(path, PIECES[name][0], 0, count))] if path.is_file() else []


def pushed(frame: Image, dx: float, dy: float) -> Image:
    """The middle of a frame, moved by so many pixels."""
    size = WIDTH * 5 // 6, HEIGHT * 5 // 6
    seen = cv2.getRectSubPix(frame, size, (WIDTH / 2 + dx, HEIGHT / 2 + dy))
    return np.asarray(cv2.resize(seen, (WIDTH, HEIGHT)), np.uint8)


def long_shots(shots: Sequence[list[Image]]) -> Film:
    """Shots of equal length, cut together."""
    length = len(shots[0])
    cuts = [(n * length, n * length) for n in range(1, len(shots))]
    return Film([frame for shot in shots for frame in shot], cuts)


def judged(studio: Studio, changes: int) -> dict[str, Callable[[], list[Film]]]:
    """What precision, recall and F1 of all together are told of, by kind; cuts four times."""
    kinds: dict[str, Callable[[], list[Film]]] = {
        "cut": lambda: [studio.chain(seed, changes) for seed in range(4)]
    }
    for n in (8, 16, 24, 36):
        kinds[f"dissolve of {n}"] = lambda n=n: [studio.chain(100 + n, changes, n, dissolved)]
    for n in (12, 24, 36):
        kinds[f"fade of {n}"] = lambda n=n: [studio.chain(200 + n, changes, n, faded)]
    return kinds


def others(studio: Studio, changes: int) -> dict[str, Callable[[], list[Film]]]:
    """Changes of other kinds, and what is none."""
    return {
        "wipe of 16": lambda: [studio.chain(300, changes, 16, wiped)],
        "flash of 1 frame": lambda: studio.flashes(400, 1, 1.0),
        "flash of 3 frames": lambda: studio.flashes(500, 3, 0.9),
        "whip pan": lambda: [Film(whip(seed, WIDTH * 0.3, 6)[1:]) for seed in range(6)],
        "shake": lambda: studio.shaken(600),
        "static": lambda: [Film([view(scene(seed), 0)] * 80) for seed in range(2)],
        "1 frame a second": lambda: [studio.lapse(700, 2 * changes)],
        "variable rate": lambda: [studio.uneven(800, changes)],
    }


def long(studio: Studio) -> dict[str, Callable[[], list[Film]]]:
    """Long shots, as of talks, streets and nature."""

    def nature() -> list[Film]:
        rng = np.random.default_rng(900)
        return [long_shots([photographed(n, 375, rng, 0.3) for n in range(2)])]

    return {
        "talk, fixed camera": lambda: [long_shots([painted(n, 375, 0.0) for n in (1, 2)])],
        "nature, slow pan": nature,
        "street, real": lambda: studio.footage("vtest.avi", 600),
        "hand-held, real": lambda: studio.footage("opencv_box.mp4", 450),
    }
