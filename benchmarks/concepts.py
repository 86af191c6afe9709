"""Concepts and semantic duplicates of generated embeddings with planted clusters and copies.

    python benchmarks/concepts.py [--clips 200000] [--clusters 200] [--width 768] [--sample 4000]
        [--database sqlite|postgres] [--home FOLDER]

Clusters of very different sizes are drawn around random directions; a tenth of the clips are near-
duplicates of an earlier clip, at a distance of at most 0.04. `curate concepts fit` and the stages
`concept` and `semantic_dedup` then work through them, from the database and back, as in a run:
CPU seconds of this process, and its memory. scikit-learn's brute force searches a sample for what
lies within eps. The last line printed is one JSON object. With --home the database stays there.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scale_servers import server
from sqlalchemy import Engine, insert, select, text

from curate.cli.main import call
from curate.configs.settings import Settings
from curate.db import datasets, migrate
from curate.db.engine import make_engine
from curate.db.schema import clips, embeddings, videos
from curate.tasks.models.kept_vectors import distances_of
from curate.worker.runner import Runner

EPS, PLANTED = 0.07, 0.04  # distances: of what counts as near, and of the farthest planted copy
SPREAD = 0.7  # of a clip around its cluster: its length across, where the centre has length 1
PART = 5000  # rows written at a time
STEPS = [{"stage": n} for n in ("probe", "split", "clip_embed", "concept")]
STEPS += [
    {"stage": "semantic_dedup", "eps": EPS},
    {"filter": "unlike", "where": "semantic_duplicate = 0"},
]

Halves = NDArray[np.float16]
Ints = NDArray[np.intp]


def draw(number: int, clusters: int, width: int) -> tuple[Halves, Ints, Ints]:
    """Vectors, the cluster of each, and the clip that it is a near-duplicate of (-1: of none)."""
    chance = np.random.default_rng(7)
    centres = _units(chance.standard_normal((clusters, width), np.float32))
    weights = chance.lognormal(0, 0.6, clusters)
    cluster = chance.choice(clusters, number, p=weights / weights.sum())
    vectors = np.empty((number, width), np.float16)
    original = np.full(number, -1)
    copies = np.flatnonzero(chance.random(number) < 0.1)[1:]
    original[copies] = (chance.random(len(copies)) * copies).astype(np.intp)
    originals = original < 0
    for first in range(0, number, PART):
        part = slice(first, min(first + PART, number))
        noise = chance.standard_normal((part.stop - first, width), np.float32) / np.sqrt(width)
        vectors[part] = _units(centres[cluster[part]] + SPREAD * noise)
    for copy in copies:  # in order: a copy of a copy is drawn around what was drawn before
        root = original[copy]
        while not originals[root]:
            root = original[root]
        original[copy], cluster[copy] = root, cluster[root]
        angle = np.arccos(1 - PLANTED * chance.uniform(0.1, 1))
        across = chance.standard_normal(width, np.float32)
        base = vectors[root].astype(np.float32)
        across = _units(across - base * (across @ base))
        vectors[copy] = _units(base * np.cos(angle) + across * np.sin(angle))
    return vectors, cluster, original


def _units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    units: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return units


def fill(url: str, vectors: Halves) -> Engine:
    """A database with a dataset of these clips, which wait for the stage concept."""
    from curate.configs.pipeline import parse
    from curate.tasks.registry import stages

    engine = make_engine(url)
    migrate.ensure(engine)
    pipeline = parse(STEPS, stages(), "the benchmark")
    dataset = datasets.create(engine, "drawn", "/drawn", pipeline)
    clip = {
        "dataset_id": dataset.id,
        "start_pts": 0,
        "end_pts": 1,
        "stage": "concept",
        "status": "active",
    }
    made_by = {"model": "drawn", "revision": "1", "frame": 0, "position": 0.5}
    video = {"dataset_id": dataset.id, "fingerprint": "1", "stage": "done", "status": "kept"}
    for first in range(0, len(vectors), PART):
        with engine.begin() as connection:
            path = dict.fromkeys(("path", "relpath", "clip_stem"), f"/drawn/{first}")
            new = insert(videos).values(**video, **path).returning(videos.c.id)
            of = connection.execute(new).scalar_one()
            numbers = range(first, min(first + PART, len(vectors)))
            rows = [{**clip, "id": n + 1, "video_id": of, "clip_index": n - first} for n in numbers]
            connection.execute(insert(clips), rows)
            rows = [{**made_by, "clip_id": n + 1, "vector": vectors[n].tobytes()} for n in numbers]
            connection.execute(insert(embeddings), rows)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    return engine


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """CPU and wall seconds of this process for a piece of work, and its memory in MB at most."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what came before
    before, wall = time.process_time(), time.perf_counter()
    work()
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    seconds = {"cpu_s": time.process_time() - before, "s": time.perf_counter() - wall}
    return {name: round(value, 2) for name, value in seconds.items()} | {"peak_mb": peak // 1024}


def run_stage(engine: Engine, settings: Settings, stage: str) -> None:
    """Let this process do all that waits at a stage."""
    runner = Runner(settings, engine)
    while runner.run_one(stage):
        pass


def judged(engine: Engine, vectors: Halves, cluster: Ints, original: Ints) -> dict[str, Any]:
    """How concepts and duplicates compare with what was planted."""
    from sklearn.metrics import adjusted_rand_score

    query = (
        "SELECT concept, semantic_duplicate, semantic_duplicate_of, semantic_distance FROM clips"
    )
    with engine.connect() as connection:
        rows = connection.execute(text(f"{query} ORDER BY id")).all()
    concept = np.array([row[0] for row in rows])
    found = np.array([row[1] for row in rows], bool)
    of = np.array([row[2] or 0 for row in rows]) - 1
    pairs = np.flatnonzero(found)
    planted = np.flatnonzero(original >= 0)
    split = concept[planted] != concept[original[planted]]
    return {
        "adjusted_rand_index": round(float(adjusted_rand_score(cluster, concept)), 4),
        "planted": len(planted),
        "recall": round(float(found[planted].mean()), 6),
        "planted_in_two_concepts": int(split.sum()),
        "found": len(pairs),
        "across_clusters": int((cluster[pairs] != cluster[of[pairs]]).sum()),
        "farther_than_eps": sum(
            int((distances_of(vectors[some], vectors[of[some]]) > EPS).sum())
            for some in np.array_split(pairs, len(pairs) // PART + 1)
        ),
    }


def brute_force(engine: Engine, vectors: Halves, sample: int) -> dict[str, Any]:
    """scikit-learn's search for all clips within eps of each of the last clips, compared with what
    the stage says of them.
    """
    from sklearn.neighbors import NearestNeighbors

    with engine.connect() as connection:
        found = np.array(
            connection.execute(select(clips.c.semantic_duplicate).order_by(clips.c.id))
            .scalars()
            .all(),
            bool,
        )
    kept = np.flatnonzero(~found)
    last = np.arange(len(vectors) - sample, len(vectors))
    before = time.process_time()
    search = NearestNeighbors(radius=EPS, metric="cosine", algorithm="brute")
    search.fit(vectors[kept].astype(np.float32))
    near = search.radius_neighbors(vectors[last].astype(np.float32), return_distance=False)
    seconds = time.process_time() - before
    theirs = np.array(
        [any(kept[n] < clip for n in some) for clip, some in zip(last, near, strict=True)]
    )
    return {
        "sample": sample,
        "cpu_ms_a_clip": round(1000 * seconds / sample, 3),
        "duplicates": int(theirs.sum()),
        "only_theirs": int((theirs & ~found[last]).sum()),
        "only_ours": int((found[last] & ~theirs).sum()),
    }


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--width", type=int, default=768, help="numbers of a vector")
    parser.add_argument("--sample", type=int, default=4000, help="clips that brute force searches")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--home", type=Path, help="a new folder that the database stays in")
    options = parser.parse_args()
    vectors, cluster, original = draw(options.clips, options.clusters, options.width)
    found: dict[str, Any] = {
        "clips": options.clips,
        "clusters": options.clusters,
        "width": options.width,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        server(options.database) as running,
        running.database("concepts") as url,
    ):
        home = folder
        if options.home:
            options.home.mkdir(parents=True)
            home, url = str(options.home), f"sqlite:///{options.home}/curate.db"
        os.environ |= {"CURATE_HOME": home, "CURATE_DATABASE_URL": url}
        settings = Settings(home=Path(home), database_url=url)
        engine = fill(url, vectors)
        words = ("concepts", "fit", "drawn", "-k", str(options.clusters))
        found["fit"] = measured(lambda: call(words))
        print("fit", found["fit"], flush=True)
        for stage in ("concept", "semantic_dedup"):
            found[stage] = measured(lambda stage=stage: run_stage(engine, settings, stage))  # type: ignore[misc]
            print(stage, found[stage], flush=True)
        found |= judged(engine, vectors, cluster, original)
        found["rates"] = measured(
            lambda: call(("concepts", "rates", "drawn", "--eps", "0.05", "--eps", "0.07"))
        )
        ours = 1000 * found["semantic_dedup"]["cpu_s"] / options.clips
        found["ours_cpu_ms_a_clip"] = round(ours, 3)
        found["brute_force"] = brute_force(engine, vectors, options.sample)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
