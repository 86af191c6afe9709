"""What curate's commands cost over millions of clips, on SQLite and Postgres, and what the indexes
for it cost.

    python benchmarks/scale.py [--rows 200000] [--export 20000] [--database sqlite|postgres|both]

For each engine a database of a tenth of the rows is made, then one of all of them: memory of a
command must be the same on both. Each command runs in a process of its own; CPU is of the client
and of the server. Then batches are claimed and saved: the first and the last quarter of many, and
on the tenth without each index in turn. The last line printed is one JSON object. Ten million rows
take some 15 GB of /tmp a database.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import scale_claims
import scale_rows
from scale_servers import Server, server
from sqlalchemy import text

from curate.db.engine import is_sqlite, make_engine, reading

FEW = "not_black.where=black <= 0.4999"  # changes one row of 10,000
# drops two thirds of those that passed: one row of 6
MANY = "little_text.where=total_text_percentage <= 0.05"
GROUPS = "SELECT stage, status, count(*) FROM clips GROUP BY 1, 2"


def child(name: str, words: list[str]) -> None:
    """Run one command in this process, and write what it cost to file descriptor 3."""
    started = time.monotonic()
    if name == "curate":
        from curate.cli.main import call

        code = call(words)
    else:
        code = pandas_export(*words)
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    status = Path("/proc/self/status").read_text()
    peak = (
        next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        / 1024
    )
    cpu = sum(p.ru_utime + p.ru_stime for p in parts)
    cost = {"cpu": cpu, "wall": time.monotonic() - started, "mb": peak, "code": code}
    os.write(3, json.dumps(cost).encode())


def pandas_export(url: str, query: str, target: str) -> int:
    """The named alternative of an export: read all with pandas, then write."""
    import pandas

    frame = pandas.read_sql(query, make_engine(url))
    frame.to_csv(target, index=False) if target.endswith(".csv") else frame.to_parquet(
        target, index=False
    )
    return 0


class Bench:
    """Runs commands on one database and keeps what they cost."""

    def __init__(self, server: Server, url: str, work: Path) -> None:
        self.server, self.url, self.work = server, url, work
        self.found: dict[str, dict[str, float]] = {}

    def run(self, label: str, *words: str, kind: str = "curate") -> None:
        """Run a command and print its line. Raises RuntimeError when it fails."""
        own = {
            "CURATE_DATABASE_URL": self.url,
            "CURATE_HOME": str(self.work),
            "CURATE_SQL_SECONDS": "600",
        }
        environment = os.environ | own | {"TMPDIR": str(self.work)}
        out, into = os.pipe()
        before = self.server.cpu()
        argv = [sys.executable, __file__, "--child", kind, *words]
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$@" 3>&{into}', "sh", *argv],
            env=environment,
            pass_fds=[into],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(into)
        complaints = process.communicate()[1]
        with os.fdopen(out) as stream:
            cost = json.loads(stream.read() or '{"code": 1}')
        if cost.pop("code"):
            raise RuntimeError(f"{label}: {complaints}")
        cost["server_cpu"] = self.server.cpu() - before
        self.found[label] = {name: round(value, 2) for name, value in cost.items()}
        print(
            f"  {label:28s} client {cost['cpu']:8.2f}  server {cost['server_cpu']:8.2f} CPU s"
            f"  wall {cost['wall']:8.2f} s  {cost['mb']:6.0f} MB",
            flush=True,
        )

    def commands(self, kept: int, wanted: int, alternative: bool) -> None:
        """The commands of a user, those that change rows last."""
        self.run("status", "status", "scale")
        self.run("filter (funnel)", "filter", "scale")
        self.run("sql group by", "sql", GROUPS)
        share = f"flow < {min(1.0, wanted / kept)}"
        for suffix in ("csv", "parquet"):
            target = self.work / f"out.{suffix}"
            self.run(f"export {suffix}", "export", "scale", "-o", str(target), "--where", share)
            if alternative:
                self.run(
                    f"pandas {suffix}", self.url, self._query(share), str(target), kind="pandas"
                )
            target.unlink()
        self.run("refilter, few change", "refilter", "scale", "--set", FEW)
        self.run("refilter, many change", "refilter", "scale", "--set", MANY)

    def _query(self, share: str) -> str:
        from curate.db.export import usual

        own = [c for c in usual(scale_rows.pipeline()) if c not in ("source", "clip_id", "path")]
        columns = ", ".join(f"c.{name}" for name in own)
        return (
            f"SELECT coalesce(c.path, v.path) AS path, {columns}, v.path AS source, "
            "c.id AS clip_id FROM clips c JOIN videos v ON v.id = c.video_id "
            f"WHERE c.status = 'kept' AND {share} ORDER BY c.video_id, c.clip_index"
        )


def sizes(url: str) -> dict[str, int]:
    """Bytes of `clips` and of each of its indexes."""
    engine = make_engine(url)
    with reading(engine) as connection:
        if is_sqlite(engine):
            # pages, for the sum of their bytes is a number of 32 bits
            query = (
                "SELECT name, pageno * page_size FROM dbstat, pragma_page_size "
                "WHERE aggregate = TRUE"
            )
        else:
            query = (
                "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind IN ('r', 'i')"
            )
        found = {str(row[0]): int(row[1]) for row in connection.execute(text(query))}
    return {name: size for name, size in found.items() if "clips" in name}


def measure(server: Server, rows: int, wanted: int, whole: bool, claims: int) -> dict[str, Any]:
    """Fill a database, run everything on it. `whole`: with the alternatives; else with the cost of
    each index.
    """
    with (
        tempfile.TemporaryDirectory(prefix="curate-scale-") as folder,
        server.database(f"rows{rows}") as url,
    ):
        engine = make_engine(url)
        started, before = time.monotonic(), server.cpu() + time.process_time()
        scale_rows.fill(engine, rows)
        seconds, used = time.monotonic() - started, server.cpu() + time.process_time() - before
        print(
            f"{server.kind}, {rows:,} clips, made in {seconds:.0f} s ({used:.0f} CPU s)", flush=True
        )
        if server.postgres is not None:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(
                    text("VACUUM ANALYZE")
                )  # as autovacuum would have done, row by row
        found: dict[str, Any] = {"rows": rows, "bytes": sizes(url)}
        for name, size in sorted(found["bytes"].items(), key=lambda item: -item[1]):
            print(f"  {name:56s} {size / 1e6:9.1f} MB  {size / rows:6.1f} bytes a clip")
        kept = scale_rows.by_status(engine)["done", "kept"]
        bench = Bench(server, url, Path(folder))
        if not whole:
            found["indexes"] = scale_claims.cost_of_indexes(server, url, min(claims, 150))
        found["claims"] = scale_claims.latency(server, url, claims)
        bench.commands(kept, wanted, whole)
        found["commands"] = bench.found
        engine.dispose()
    return found


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000, help="clips")
    parser.add_argument("--export", type=int, default=20_000, help="of them, how many to export")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument(
        "--claims",
        type=int,
        default=400,
        help="batches of 64 claimed and saved on the tenth; 5 times as many on all",
    )
    options = parser.parse_args()
    kinds = ("sqlite", "postgres") if options.database == "both" else (options.database,)
    found: dict[str, Any] = {}
    for kind in kinds:
        with server(kind) as running:
            tenth = measure(
                running, options.rows // 10, options.export // 10, False, options.claims
            )
            whole = measure(running, options.rows, options.export, True, 5 * options.claims)
        found[kind] = {"tenth": tenth, "whole": whole, "ratios": ratios(tenth, whole)}
    print(json.dumps(found))


def ratios(tenth: dict[str, Any], whole: dict[str, Any]) -> dict[str, float]:
    """Memory of the whole over that of the tenth for each command; CPU of pandas over that of an
    export.
    """
    few, many = tenth["commands"], whole["commands"]
    memory = {
        f"memory of {name}": cost["mb"] / few[name]["mb"]
        for name, cost in many.items()
        if name in few
    }
    for suffix in ("csv", "parquet"):
        ours, theirs = (many[f"{who} {suffix}"] for who in ("export", "pandas"))
        for what in ("cpu", "mb"):
            memory[f"{what} of pandas over export, {suffix}"] = theirs[what] / ours[what]
    for name, value in memory.items():
        print(f"  {name:56s} {value:6.2f}")
    return {name: round(value, 3) for name, value in memory.items()}


if __name__ == "__main__":
    main()
