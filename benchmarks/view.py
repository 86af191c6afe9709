"""What the pages of `curate view` cost over many clips, on SQLite and Postgres.

    python benchmarks/view.py [--rows 1000000] [--database sqlite|postgres|both] [--drags 50]

The rows are those of `scale.py`. A server is started as a user does; then, in seconds: from its
start to the funnel, the snapshot, the first histogram, the median of a threshold's drags, a page of
the list of clips; and the most memory that the server took, in MB. At last the report of one file:
seconds, MB. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import scale_rows
from scale_servers import server
from sqlalchemy import text

from curate.db.engine import is_sqlite, make_engine

THRESHOLD = "not_black.0"  # black <= 0.5


class Server:
    """`curate view` in a process of its own, and a browser that was let in."""

    def __init__(self, environment: dict[str, str]) -> None:
        words = ["-m", "curate.cli.main", "view", "scale", "--no-open", "--port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        url = self.process.stdout.readline().strip()
        self.base = url.partition("?")[0]
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self.browser = urllib.request.build_opener(cookies)
        self.browser.open(url).read()

    def ask(self, path: str) -> Any:
        """What the server says of a path below /api/."""
        with self.browser.open(f"{self.base}api/{path}") as answer:
            return json.load(answer)

    def seconds(self, path: str) -> float:
        """How long an answer takes."""
        started = time.monotonic()
        self.ask(path)
        return time.monotonic() - started

    def peak(self) -> float:
        """The most memory that it took, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024


def measure(environment: dict[str, str], drags: int) -> dict[str, float]:
    """What the pages of a filled database cost."""
    started = time.monotonic()
    server = Server(environment)
    try:
        ready = time.monotonic() - started
        found = {"ready": ready, "funnel": server.seconds("funnel")}
        started = time.monotonic()
        while "reading" in server.ask("scores"):
            pass
        found["snapshot"] = time.monotonic() - started
        found["first histogram"] = server.seconds(f"histogram?key={THRESHOLD}")
        found["histogram of another column"] = server.seconds("histogram?column=flow")
        numbers = [0.01 + 0.98 * n / drags for n in range(drags)]
        paths = [f"whatif?moves={THRESHOLD}:{number:.4f}&key={THRESHOLD}" for number in numbers]
        found["drag"] = statistics.median(server.seconds(path) for path in paths)
        found["clips at a threshold"] = server.seconds(f"changes?key={THRESHOLD}")
        found["list"] = server.seconds("clips?status=dropped&reason=not_black")
        found["MB"] = server.peak()
    finally:
        server.process.terminate()
        server.process.wait(30)
    return found


def report(environment: dict[str, str], folder: Path) -> dict[str, float]:
    """What the report of one file costs; it shows no pictures, for there are no samples."""
    started = time.monotonic()
    target = folder / "report.html"
    words = ["-m", "curate.cli.main", "view", "scale", "-o", str(target)]
    subprocess.run([sys.executable, *words], env=environment, check=True)
    return {
        "report seconds": time.monotonic() - started,
        "report MB": target.stat().st_size / 1e6,
    }


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="clips")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--drags", type=int, default=50, help="thresholds that are asked about")
    options = parser.parse_args()
    kinds = ("sqlite", "postgres") if options.database == "both" else (options.database,)
    results: dict[str, Any] = {"rows": options.rows}
    for kind in kinds:
        with (
            server(kind) as running,
            tempfile.TemporaryDirectory(prefix="curate-view-") as folder,
            running.database("view") as url,
        ):
            engine = make_engine(url)
            scale_rows.fill(engine, options.rows)
            if not is_sqlite(engine):
                with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(text("VACUUM ANALYZE"))
            engine.dispose()
            own = {"CURATE_DATABASE_URL": url, "CURATE_HOME": folder}
            found = measure(os.environ | own, options.drags)
            found |= report(os.environ | own, Path(folder))
        results[kind] = {name: round(value, 4) for name, value in found.items()}
        for name, value in results[kind].items():
            print(f"{kind:10s} {name:30s} {value:10.3f}", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
