"""How far apart the clips of a dataset are by `embed_image`, and edits of them from what they were.

    curate run VIDEOS --name alike --config PIPELINE.yaml -o clips.csv   # at least probe and split
    python -m benchmarks.alike HOME alike MODELS/efficientnet-lite0

Of each clip, the mean direction of three frames. Edits are of the stored frames. Distances are
1 - cosine: eps of semantic_dedup should lie between those of edits and those of other clips.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.tasks.clip_embed import POINTS
from curate.tasks.models.efficientnet import efficientnet
from curate.tasks.models.embeddings import unit
from curate.tasks.video.geometry import RGB
from curate.tasks.video.samples import Samples

CLIPS = """
    SELECT v.relpath, v.id, c.clip_index, v.fingerprint FROM clips c
    JOIN videos v ON v.id = c.video_id JOIN datasets d ON d.id = c.dataset_id
    WHERE d.name = ? ORDER BY c.id
"""


def as_jpeg(picture: RGB, quality: int) -> RGB:
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(np.uint8)


def halved(picture: RGB) -> RGB:
    height, width = picture.shape[:2]
    size = max(1, width // 2), max(1, height // 2)
    small = as_jpeg(cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8), 60)
    return cv2.resize(small, (width, height)).astype(np.uint8)


def cropped(picture: RGB, share: float) -> RGB:
    rows, columns = (int(side * share) for side in picture.shape[:2])
    return picture[rows : picture.shape[0] - rows, columns : picture.shape[1] - columns]


def written(picture: RGB) -> RGB:
    height, width = picture.shape[:2]
    at, font = (width // 8, height * 9 // 10), cv2.FONT_HERSHEY_SIMPLEX
    return cv2.putText(picture.copy(), "WORDS BELOW", at, font, height / 300, (255,) * 3, 2)


EDITS: dict[str, Callable[[RGB], RGB]] = {
    "as it is": lambda p: p,
    "mirrored": lambda p: p[:, ::-1],
    "brighter by 30": lambda p: np.clip(p.astype(int) + 30, 0, 255).astype(np.uint8),
    "cropped by 5 % a side": lambda p: cropped(p, 0.05),
    "cropped by 15 % a side": lambda p: cropped(p, 0.15),
    "words over it": written,
    "letterbox": lambda p: np.pad(p, ((p.shape[0] // 8,) * 2, (0, 0), (0, 0))),
    "gray": lambda p: p.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8),
    "JPEG of quality 30": lambda p: as_jpeg(p, 30),
    "half the size, JPEG of quality 60": halved,
}


def shown(name: str, distances: Sequence[float]) -> None:
    if distances:
        least, middle, most = np.percentile(distances, [0, 50, 100])
        print(f"{name:36} {len(distances):6} {least:7.3f} {middle:7.3f} {most:7.3f}")


def main(home: Path, dataset: str, model: Path) -> None:
    network = efficientnet(model)
    with closing(sqlite3.connect(home / "curate.db")) as connection:
        rows = connection.execute(CLIPS, (dataset,)).fetchall()
    directions: dict[str, list[NDArray[np.float32]]] = {name: [] for name in EDITS}
    for _, video, index, fingerprint in rows:
        samples = Samples.open(home / "samples", video, index, fingerprint)
        pictures = [picture for _, picture in samples.pictures_at(POINTS[3])]
        for name, edit in EDITS.items():
            vectors = [network.embed(np.ascontiguousarray(edit(p))) for p in pictures]
            directions[name].append(unit(np.mean(vectors, axis=0)))
    print(f"{'1 - cosine':36} {'pairs':>6} {'least':>7} {'median':>7} {'most':>7}")
    plain = directions.pop("as it is")
    for name, edited in directions.items():
        shown(name, [1 - float(a @ b) for a, b in zip(plain, edited, strict=True)])
    pairs = list(combinations(zip(rows, plain, strict=True), 2))
    for name, same in (("other clips of one video", True), ("clips of other videos", False)):
        alike = [1 - float(a @ b) for (r, a), (s, b) in pairs if (r[0] == s[0]) == same]
        shown(name, alike)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
