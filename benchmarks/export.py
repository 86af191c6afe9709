"""What exports cost over many clips: rows a CPU second, and the memory of ten times as many.

    python benchmarks/export.py [--rows 1000000] [--database sqlite|postgres]
        [--formats parquet,jsonl,webdataset,sidecar]

A database of a tenth of the rows is made, then one of all of them; all clips are kept, and their
paths are those of a thousand tiny files. Each export runs in a process of its own. The last line
printed is one JSON object. A million rows take some 4 GB of /tmp.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import scale_rows
from scale import Bench
from scale_servers import Server, server
from sqlalchemy import text

from curate.db.engine import make_engine, writing

FILES = 1000  # of the clips; more links than that a file are few even of ten million
SPLIT = "train=0.98,val=0.02"


def fill(url: str, rows: int, folder: Path) -> None:
    """Make kept clips with captions, each with a file of 300 to 1299 bytes."""
    engine = make_engine(url)
    scale_rows.fill(engine, rows)
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.mp4").write_bytes(os.urandom(300 + number))
    with writing(engine) as connection:
        connection.execute(
            text(
                "UPDATE clips SET stage = 'done', status = 'kept', reason = NULL, error = NULL,"
                f" path = '{folder}/' || (id % {FILES}) || '.mp4', file_size = 300 + id % {FILES}"
            )
        )
    engine.dispose()


def measure(running: Server, rows: int, formats: list[str]) -> dict[str, dict[str, float]]:
    """What each export of so many rows costs, by format."""
    with (
        tempfile.TemporaryDirectory(prefix="curate-export-") as work,
        running.database(f"export{rows}") as url,
    ):
        print(f"{running.kind}, {rows:,} clips", flush=True)
        fill(url, rows, Path(work) / "clips")
        bench = Bench(running, url, Path(work))
        target = Path(work) / "out"
        bench.run("assign sides", "export", "scale", "--split", SPLIT, "--limit", "0")
        for name in formats:
            bench.run(name, "export", "scale", "--to", name, "-o", str(target))
            shutil.rmtree(target) if target.is_dir() else target.unlink()
    for cost in bench.found.values():
        cost["rows_a_cpu_second"] = round(rows / (cost["cpu"] + cost["server_cpu"]))
    return bench.found


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="clips")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--formats", default="parquet,jsonl,webdataset,sidecar")
    options = parser.parse_args()
    formats = options.formats.split(",")
    with server(options.database) as running:
        few = measure(running, options.rows // 10, formats)
        many = measure(running, options.rows, formats)
    memory = {name: round(many[name]["mb"] / few[name]["mb"], 3) for name in many}
    for name, ratio in memory.items():
        print(f"  memory of {name:20s} {ratio:6.2f} times that of a tenth")
    print(json.dumps({"rows": options.rows, "tenth": few, "all": many, "memory": memory}))


if __name__ == "__main__":
    main()
