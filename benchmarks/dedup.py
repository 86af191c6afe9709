"""Dedup of a batch against many clips that were taken before, against imagededup's own search; and
a restart.

    python benchmarks/dedup.py [--clips 100000] [--batch 1000] [--sample 5] [--database
    sqlite|postgres|both]

Hashes are drawn: 64 bits of chance a frame, of which one clip in ten is a near copy (up to 6 bits
away) of an earlier one. imagededup searches one hash among the clips at a time and by the first
frame only, so `sample` of the batch are timed with as many clips, and one search is compared with
one of ours: CPU seconds of this process. Its BK tree is built of a tenth of the clips, for its
building alone takes minutes of a million. A restart reads what was taken from the database, in a
process of its own. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scale_servers import Server, server
from sqlalchemy import text

from curate.configs.settings import Settings
from curate.db import migrate
from curate.db.engine import make_engine
from curate.db.queue.ordered import taken_since
from curate.tasks.dedup import Dedup, DedupOptions
from curate.tasks.stage import Clip, Context, Video

THRESHOLD = 10
VIDEO = Video(1, 1, "/v.mp4", "v.mp4", {})


def draw(number: int) -> NDArray[np.uint64]:
    """Two hashes a clip; one in ten is near an earlier clip."""
    chance = np.random.default_rng(7)
    pairs = chance.integers(0, 2**64, (number, 2), np.uint64)
    copies = np.flatnonzero(chance.random(number) < 0.1)[1:]
    flips = np.uint64(1) << chance.integers(0, 64, (len(copies), 2, 6), np.uint64)
    of = (chance.random(len(copies)) * copies).astype(np.intp)
    pairs[copies] = pairs[of] ^ np.bitwise_or.reduce(flips, axis=2)
    return pairs


def rows_of(pairs: NDArray[np.uint64], first: int) -> list[dict[str, Any]]:
    """What the database would tell of clips that were taken, all as survivors."""
    return [
        {
            "id": n,
            "dedup_seq": n,
            "duplicate": 0,
            "hash_first": f"{a:016x}",
            "hash_middle": f"{b:016x}",
        }
        for n, (a, b) in enumerate(pairs.tolist(), first)
    ]


def stage() -> Dedup:
    """The stage with its default options."""
    return Dedup(DedupOptions(threshold=THRESHOLD), Context(Settings()))


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process for a piece of work, and what it returns."""
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def peak() -> float:
    """Most megabytes that this process had in memory."""
    status = Path("/proc/self/status").read_text()
    return (
        next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        / 1024
    )


def ours(pairs: NDArray[np.uint64], batch: int) -> dict[str, float]:
    """A batch against all clips before it: CPU seconds, first and later ones; and how many are
    duplicates.
    """
    dedup, known = stage(), len(pairs) - 3 * batch
    learned, _ = cpu(lambda: [dedup.recall(part) for part in _parts(pairs[:known])])
    found = {"recall_s": learned}
    for turn in range(3):
        at = known + turn * batch
        rows = rows_of(pairs[at : at + batch], at + 1)
        clips = [Clip(r["id"], 1, r["id"], VIDEO, 0, 1, Fraction(1), r, Path()) for r in rows]
        seconds, outcomes = cpu(lambda clips=clips: dedup.run_batch(clips))  # type: ignore[misc]
        found[f"batch_{turn + 1}_s"] = seconds
        if turn == 0:
            _same_as_all(pairs[:known], pairs[at : at + batch], outcomes[:50])
            found["duplicates"] = sum(o.scores["duplicate"] for o in outcomes)
        dedup.recall([row | dict(o.scores) for row, o in zip(rows, outcomes, strict=True)])
    return found


def _parts(pairs: NDArray[np.uint64]) -> Iterator[list[dict[str, Any]]]:
    return (rows_of(pairs[at : at + 10_000], at + 1) for at in range(0, len(pairs), 10_000))


def _same_as_all(known: NDArray[np.uint64], new: NDArray[np.uint64], outcomes: list[Any]) -> None:
    """Raise RuntimeError unless comparing with all clips one by one says the same of the first of a
    batch.
    """
    survivors = list(range(len(known)))
    everything = np.concatenate([known, new])
    for n, outcome in enumerate(outcomes):
        distance = np.zeros(len(survivors), np.uint8)
        for frame in range(2):
            differing = everything[survivors, frame] ^ new[n, frame]
            bits = np.unpackbits(differing.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)
            distance = np.maximum(distance, bits)
        near = np.flatnonzero(distance <= THRESHOLD)
        wanted = survivors[near[0]] + 1 if len(near) else None
        if outcome.scores["duplicate_of"] != wanted:
            raise RuntimeError(f"clip {n}: {outcome.scores} instead of {wanted}")
        survivors += [] if len(near) else [len(known) + n]


def theirs(pairs: NDArray[np.uint64], sample: int) -> dict[str, float]:
    """CPU seconds of one search by each of imagededup's methods."""
    from imagededup.handlers.search.bktree import BKTree
    from imagededup.handlers.search.brute_force import BruteForce
    from imagededup.handlers.search.brute_force_cython import BruteForceCython

    def distance(
        one: str, other: str
    ) -> int:  # as imagededup.methods.hashing.Hashing.hamming_distance
        return bin(int(one, 16) ^ int(other, 16)).count("1")

    known = {str(n): f"{w:016x}" for n, w in enumerate(pairs[:-sample, 0].tolist())}
    wanted = [f"{w:016x}" for w in pairs[-sample:, 0].tolist()]
    tenth = dict(list(known.items())[: len(known) // 10])
    found = {}
    for name, method, rows in (
        ("brute_force_cython", BruteForceCython, known),
        ("brute_force", BruteForce, tenth),
        ("bktree", BKTree, tenth),
    ):
        built, search = cpu(lambda method=method, rows=rows: method(rows, distance))  # type: ignore[misc]
        seconds, _ = cpu(lambda search=search: [search.search(w, THRESHOLD) for w in wanted])  # type: ignore[misc]
        found[name] = seconds / sample
        found[f"{name}_clips"] = len(rows)
        found[f"{name}_build_s"] = built
    return found


def restart(url: str) -> dict[str, float]:
    """A new process learns everything that was taken, then nothing more."""
    dedup, engine = stage(), make_engine(url)
    order = Dedup.order(dedup.options)
    before = peak()
    last = survivors = 0

    def recall() -> None:
        nonlocal last, survivors
        for part in taken_since(engine, 1, last, order):
            dedup.recall(part)
            last = part[-1][order.number]
            survivors += sum(row["duplicate"] == 0 for row in part)

    seconds, _ = cpu(recall)
    clips, used = survivors, peak() - before
    again, _ = cpu(recall)
    if survivors > clips:
        raise RuntimeError("it reads again what it knows")
    return {"clips": clips, "cpu_s": seconds, "mb": used, "caught_up_s": again}


def measure_restart(running: Server, pairs: NDArray[np.uint64]) -> dict[str, float]:
    """`restart` in a process of its own, with a database that holds the clips."""
    with running.database("dedup") as url:
        engine = make_engine(url)
        migrate.upgrade(engine)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO datasets (id, name, root, pipeline, created_at) "
                    "VALUES (1,'d','/','[]',0)"
                )
            )
            video = "1, 1, '/v', 'v', 'v', '1', 'done', 'kept'"
            columns = "id, dataset_id, path, relpath, clip_stem, fingerprint, stage, status"
            connection.execute(text(f"INSERT INTO videos ({columns}) VALUES ({video})"))
            insert = text(
                "INSERT INTO clips (id, dataset_id, video_id, clip_index, start_pts, end_pts, "
                "stage, status, dedup_seq, duplicate, hash_first, hash_middle) "
                "VALUES (:id, 1, 1, :id, 0, 1, 'done', 'kept', :dedup_seq,"
                " :duplicate, :hash_first, :hash_middle)"
            )
            for part in _parts(pairs):
                connection.execute(insert, part)
        engine.dispose()
        before = running.cpu()
        words = [sys.executable, __file__, "--restart", url]
        out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found: dict[str, float] = json.loads(out.splitlines()[-1])
        return found | {"server_s": running.cpu() - before}


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=100_000, help="clips taken before")
    parser.add_argument("--batch", type=int, default=1000, help="new clips")
    parser.add_argument("--sample", type=int, default=5, help="searches by imagededup")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--restart", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.restart:
        print(json.dumps(restart(options.restart)))
        return
    pairs = draw(options.clips + 3 * options.batch)
    found: dict[str, Any] = {
        "clips": options.clips,
        "batch": options.batch,
        "curate": ours(pairs, options.batch),
    }
    found["curate"]["mb"] = peak()
    found["imagededup"] = theirs(pairs[: options.clips], options.sample)
    one = found["curate"]["batch_2_s"] / options.batch
    for name in ("brute_force_cython", "brute_force", "bktree"):
        scaled = options.clips / found["imagededup"][f"{name}_clips"]
        found[f"{name}_over_curate"] = (
            found["imagededup"][name] * (1 if name == "bktree" else scaled) / one
        )
    kinds = ("sqlite", "postgres") if options.database == "both" else (options.database,)
    for kind in kinds:
        with server(kind) as running:
            found[f"restart_{kind}"] = measure_restart(running, pairs[: options.clips])
    for name, value in found.items():
        print(f"{name}: {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
