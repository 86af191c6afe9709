"""What the quick test of `ocr` misses and costs: on frames of real footage, bare and with words.

    python -m benchmarks.ocr ../shared/videos [--every 50]

Words are drawn on every third frame: a line of five words with an outline, or one word without, in
letters of a share of the picture's height, and coded as JPEG. Each frame is searched in full and by
the quick test. Prints how many frames with text (as the full search has it) the test passes, how
many without it, and CPU seconds a frame of both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from curate.tasks.models.text_finder import SIDE, TextFinder, fitted
from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.geometry import RGB
from curate.tasks.video.jpeg import decode_jpeg, encode_jpeg

WORDS = "the night is dark subscribe now Channel 5 HD breaking news 2024 www.example.com THE END"
CASES = [
    ("line", 0.02, 1.0), ("line", 0.03, 1.0), ("line", 0.05, 1.0), ("line", 0.04, 0.4),
    ("word", 0.03, 1.0), ("word", 0.06, 1.0), ("word", 0.06, 0.5), ("word", 0.2, 1.0),
]  # fmt: skip


def frames(folder: Path, every: int) -> Iterator[RGB]:
    """Every so many frames of each video of a folder."""
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".mp4", ".avi")):
        with open_media(str(path)) as container:
            for number, frame in enumerate(decode(container, video_stream(container))):
                if number % every == every // 2:
                    yield fitted(frame.to_ndarray(format="rgb24"), SIDE)


def written(picture: RGB, kind: str, share: float, opacity: float, rng: np.random.Generator) -> RGB:
    """A picture with words, in capital letters of so much of its height."""
    height, width = picture.shape[:2]
    size = max(6, round(share * height / 0.73))
    font, text = ImageFont.load_default(size), " ".join(rng.choice(WORDS.split(), 5))
    ink = round(255 * opacity)
    light, dark = (255, 255, 255, ink), (10, 10, 10, ink)
    layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    words = text if kind == "line" else text.split()[0]
    _, _, right, bottom = draw.textbbox((0, 0), words, font=font)
    place = (int(rng.integers(max(1, width - right))), int(rng.integers(max(1, height - bottom))))
    edge = max(1, size // 14) if kind == "line" else 0
    draw.text(place, words, light, font, stroke_width=edge, stroke_fill=dark)
    both = Image.alpha_composite(Image.fromarray(picture).convert("RGBA"), layer)
    return decode_jpeg(encode_jpeg(np.asarray(both.convert("RGB"))))


def compare(name: str, pictures: Sequence[RGB], full: TextFinder, quick: TextFinder) -> None:
    """One line of the table."""
    has, passes, seconds = [], [], []
    for picture in pictures:
        begin = time.process_time()
        has.append(bool(full.find(picture).texts))
        middle = time.process_time()
        passes.append(quick.may_show_text(fitted(picture, SIDE, enlarge=True)))
        seconds.append((middle - begin, time.process_time() - middle))
    text, passed, (searched, tested) = np.array(has), np.array(passes), np.array(seconds).T
    bare = tested[~passed].mean() if not passed.all() else float("nan")
    print(
        f"{name:16} with text {(passed & text).sum():2} of {text.sum():2}"
        f"   without {(passed & ~text).sum():2} of {(~text).sum():2}"
        f"   full {searched.mean():.3f} s   test {tested.mean():.3f} s, failed {bare:.3f} s",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=50, help="frames from one to the next")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    full, quick = TextFinder(0.5, quick_test=False), TextFinder(0.5, quick_test=True)
    pictures, rng = list(frames(given.folder, given.every)), np.random.default_rng(0)
    compare("as they are", pictures, full, quick)
    for kind, share, opacity in CASES:
        drawn = [written(picture, kind, share, opacity, rng) for picture in pictures[::3]]
        compare(f"{kind} {share} {opacity}", drawn, full, quick)


if __name__ == "__main__":
    main()
