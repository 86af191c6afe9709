"""The benchmarks that a release shows, in one command, with one table.

    python benchmarks/run.py [--quick] [--footage FOLDER] [--history FILE] [--only frontend,start]

Each runs as its own docstring says, one after the other, in the environment that workers run in;
`--quick` takes small sizes. Footage is ../shared/videos beside the checkout where that is there,
else drawn. The table has the figures that stand for each benchmark, whether lower or higher is
better, and with `--history` what that file has last for the same sizes and footage.
What was found is appended to it as one line of JSON: date, version, and the last line that each
benchmark prints. Exits with 1 when a benchmark fails; the others are run all the same.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import curate
from curate.configs.settings import load_settings
from curate.worker.processes import WorkerSpec

ROOT = Path(__file__).resolve().parents[1]
FOOTAGE = ROOT.parent / "shared" / "videos"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: its words with --quick, and the figures of its last line that the table shows.

    A figure is a path of keys, and `-` or `+` before it says whether lower or higher is better.
    """

    quick: tuple[str, ...]
    figures: tuple[str, ...]
    on_footage: bool = False


BENCHMARKS = {
    "frontend": Benchmark(
        ("--repeat", "1"),
        (
            "-ratios.curate_over_pyav", "-ratios.curate_cut_over_pyav",
            "+ratios.steps_over_curate", "+ratios.steps_over_curate_cut", "-peak_mb",
        ),
        on_footage=True,
    ),
    "start": Benchmark(
        ("--repeat", "1", "--idle", "30"),
        (
            "-run_cpu", "-run_wall", "-status_cpu", "-hasher_cpu", "-hasher_mb",
            "-idle_supervisor_cpu", "-idle_all_cpu",
        ),
    ),
    "dispatch": Benchmark(
        ("--clips", "5000", "--sample", "200"),
        (
            "-sqlite.microseconds.all", "+sqlite.times_less",
            "-postgres.microseconds.all", "+postgres.times_less",
        ),
    ),
    "dedup": Benchmark(
        ("--clips", "20000", "--sample", "2", "--database", "sqlite"),
        ("+brute_force_cython_over_curate", "+bktree_over_curate", "-curate.mb"),
    ),
    "cores": Benchmark(
        ("--processes", "16", "--length", "10"),
        (
            "+sqlite_16.slept", "-sqlite_16.cpu_ms.processes", "-sqlite_16.cpu_ms.parent",
            "+postgres_16.slept", "-postgres_16.cpu_ms.processes", "-postgres_16.cpu_ms.server",
        ),
    ),
    "captions": Benchmark(("--seconds", "5"), ("-cpu_ratio", "-memory_ratio")),
    "clean": Benchmark(("--rows", "5000"), ("+t5_against_pandas", "+safe_rows_per_cpu_second")),
}  # fmt: skip


def environment() -> dict[str, str]:
    """That of a worker's process; each benchmark says by itself where its home is."""
    inherited = WorkerSpec("cpu", 1, "cpu").environment(load_settings())
    ours = {name: value for name, value in inherited.items() if not name.startswith("CURATE_")}
    return ours | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


def run(name: str, words: Sequence[str]) -> dict[str, Any]:
    """The last line that a benchmark prints, or its `error`."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *words]
    print(f"{time.strftime('%X')} {' '.join(command[1:])}", file=sys.stderr)
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=ROOT)
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        found = {}
    if done.returncode or not found:
        print(done.stderr, file=sys.stderr)
        found["error"] = (done.stderr.splitlines() or [f"code {done.returncode}"])[-1]
    return dict(found)


def figure(found: Mapping[str, Any], path: str) -> float | None:
    """What stands at a path of keys; None: nothing does."""
    value: Any = found
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def print_table(results: Mapping[str, dict[str, Any]], before: Mapping[str, Any]) -> None:
    """Print a line for each figure; `before` are the results of another time."""
    print(f"{'benchmark':10} {'figure':34} {'better':7} {'now':>9} {'before':>9} {'ratio':>6}")
    for name, found in results.items():
        if "error" in found:
            print(f"{name:10} failed: {found['error']}")
        for marked in BENCHMARKS[name].figures:
            now, then = (figure(one, marked[1:]) for one in (found, before.get(name, {})))
            if now is None:  # such as of a way that needs ffmpeg
                continue
            better = "lower" if marked[0] == "-" else "higher"
            old = f"{then:9.4g} {now / then:6.2f}" if then else ""
            print(f"{name:10} {marked[1:]:34} {better:7} {now:9.4g} {old}")


def last_of(history: Path | None, same: Mapping[str, Any]) -> dict[str, Any]:
    """The last result of each benchmark in a history, among lines that were made the same way.

    Raises ValueError for a line that is no JSON.
    """
    if history is None or not history.exists():
        return {}
    lines = [json.loads(line) for line in history.read_text().splitlines() if line]
    alike = [line["results"].items() for line in lines if same.items() <= line.items()]
    return {name: found for results in alike for name, found in results if "error" not in found}


def main() -> None:
    """Run all, print the table, append to the history."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: minutes, not hours")
    parser.add_argument("--footage", type=Path, help="a video, or a folder of them")
    parser.add_argument("--history", type=Path, help="a file of JSON lines, which gets one more")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="those to run")
    asked = parser.parse_args()
    footage = asked.footage or (FOOTAGE if FOOTAGE.exists() else None)
    results = {}
    for name in asked.only.split(","):
        benchmark = BENCHMARKS[name]
        words = list(benchmark.quick) if asked.quick else []
        words += [str(footage.resolve())] if footage and benchmark.on_footage else []
        results[name] = run(name, words)
    how = {"quick": asked.quick, "footage": footage.name if footage else "drawn"}
    print_table(results, last_of(asked.history, how))
    if asked.history:
        day = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = {"date": day, "version": curate.code_version(), **how, "results": results}
        with asked.history.open("a") as file:
            file.write(json.dumps(line) + "\n")
    sys.exit(any("error" in found for found in results.values()))


if __name__ == "__main__":
    main()
