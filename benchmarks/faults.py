"""Breaks a real line again and again, and compares what comes out with an undisturbed run.

    python benchmarks/faults.py [--faults 10] [--seed 1] [--database postgres|sqlite|both] [--keep]

Two set-ups: Postgres + Redis with two hosts (`curate worker`, each with a host name of its own),
and SQLite + the embedded Redis with two workers on one host. Each runs probe, split, dedup, a
filter, motion and cut over small drawn videos. Faults come one after the other, only while work is
under way: each when a batch has been saved since the last one and another is held. A finished
dataset is checked, and the same videos are enqueued as the next one, until all faults are through.
The kinds (tests/faults/kinds.py) come equally often, in an order drawn from the seed.

After each dataset: every column of videos and clips but ids, and the bytes of each clip and of each
archive of samples, are compared with the undisturbed run (`equal`); clips that are missing or not
finished are `lost`; more rows than there should be, or a row that was moved on from one stage
twice, are `doubled`; `stale_writes` are writes to a row by a process that did not hold it, which
triggers in the database find (tests/faults/audit.py says how; its test breaks the guard and plants
each violation). A lease is lost when another owner has the row: a process that is late but still
the owner may save, and is counted as `late`.

CURATE_LEASE_SECONDS is 3, and CURATE_MAX_ATTEMPTS 50: with a kill every few seconds the same row
may be hit three times by chance, which the default takes for a row that crashes its worker. Full
disks need the right to mount, clock steps a C compiler (tests/faults/clock.c); without, they are
skipped, and the table says so. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.faults.line import Line, draw
from tests.faults.trial import Trial, passed
from tests.processes import end_with_parent


def run_one(arguments: argparse.Namespace) -> dict[str, Any]:
    """One set-up: its table on stdout; returns its figures."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="curate-faults-"))
    folder.chmod(0o755)
    keep = True
    try:
        draw(folder, arguments.videos)
        postgres = arguments.database == "postgres"
        with Line(folder, postgres, arguments.seed, arguments.processes) as line:
            trial = Trial(line, arguments.faults)
            trial.run()
            figures = trial.figures(time.monotonic() - started)
            keep = arguments.keep or not passed(figures)
            if keep:  # the disk of the home folder ends with the line
                sockets = shutil.ignore_patterns("*.sock")
                shutil.copytree(line.home, folder / "kept", symlinks=True, ignore=sockets)
        print(f"{arguments.database}, {len(trial.verdicts)} datasets, seed {arguments.seed}")
        print(trial.table())
    finally:
        if keep:
            print(f"logs are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return figures


def run_both(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both set-ups side by side, in processes of their own."""
    options = ["--keep"] if arguments.keep else []
    for name in ("faults", "seed", "videos", "processes"):
        options += [f"--{name}", str(getattr(arguments, name))]
    runs = {}
    for database in ("sqlite", "postgres"):
        command = [sys.executable, __file__, "--database", database, *options]
        runs[database] = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent
        )
    figures: dict[str, Any] = {}
    for database, process in runs.items():
        output, _ = process.communicate()
        table, _, last = output.rstrip("\n").rpartition("\n")
        print(f"{table}\n")
        figures[database] = json.loads(last)
    sums = ("faults", "lost", "doubled", "stale_writes")
    return {
        **{name: sum(one[name] for one in figures.values()) for name in sums},
        "equal": all(one["equal"] for one in figures.values()),
        "seconds": max(one["seconds"] for one in figures.values()),
        **figures,
    }


def main() -> None:
    """Print the table and the figures.

    Exits with 1 when anything was lost, doubled, stale or different.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=10, help="for each database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--videos", type=int, default=24, help="of a dataset; each has three clips")
    parser.add_argument("--processes", type=int, default=2, help="of each of the two workers")
    parser.add_argument("--keep", action="store_true", help="leave the logs and the database")
    arguments = parser.parse_args()
    figures = run_both(arguments) if arguments.database == "both" else run_one(arguments)
    print(json.dumps(figures))
    sys.exit(not passed(figures))


if __name__ == "__main__":
    main()
