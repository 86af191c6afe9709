"""Cuts one of two hosts off from the Postgres and Redis that both work for, and connects it again.

    python benchmarks/hosts.py [--videos 40] [--cut-seconds 15]          (Linux, root, iproute2)

Each host is a network namespace with a host name of its own and a `curate worker -c 1`; both share
a folder, as hosts share an NFS. When both have saved batches, the link of the second is taken down
for longer than its lease, and up again. The end is compared with a run of the same videos without a
cut. Printed are the batches by host before, during and after the cut; the last line is one JSON
object with `lost` (clips that did not get through), `doubled` (rows that a stage saved twice) and
`equal` (rows as in the other run).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import servers
from tests.drawing import picture
from tests.media import B_FRAMES, write_video
from tests.processes import CURATE

from curate.db.engine import make_engine

BRIDGE, SERVER, NETWORK = "curate-br", "10.77.0.1", "10.77.0.0/24"
HOSTS = ("curate-h1", "curate-h2")
LEASE = 4
ROWS = """
SELECT v.relpath, c.clip_index, c.stage, c.status, c.reason, c.start_pts, c.end_pts, c.hash_first,
       c.duplicate, c.flow, c.num_frames, c.attempts, c.owner
FROM clips c JOIN videos v ON v.id = c.video_id JOIN datasets d ON d.id = c.dataset_id
WHERE d.name = :name ORDER BY v.relpath, c.clip_index
"""
ACTIVE = """
SELECT count(*) FROM {} r JOIN datasets d ON d.id = r.dataset_id
WHERE d.name = :name AND r.status = 'active'
"""
SAVED = """
SELECT b.stage, sum(b.n_ok) FROM batches b JOIN datasets d ON d.id = b.dataset_id
WHERE d.name = :name GROUP BY 1
"""
STAGES = ("probe", "split", "dedup", "motion", "cut")


def ip(*words: str) -> None:
    """The command ip."""
    subprocess.run(["ip", *words], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def network() -> Iterator[None]:
    """A bridge with an address for the servers, and two hosts on it."""
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{SERVER}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, host in enumerate(HOSTS, 1):
            ip("netns", "add", host)
            ip("link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", host)
            ip("link", "set", host, "master", BRIDGE, "up")
            for words in (
                ("addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
            ):
                ip("-n", host, *words)
            ip("-n", host, "link", "set", "lo", "up")
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", BRIDGE], stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def redis(password: str, folder: Path) -> Iterator[str]:
    """A Redis that the hosts reach; its URL."""
    (folder / "redis.conf").write_text(
        f"bind {SERVER}\nport 6390\nrequirepass {password}\nsave ''\ndir {folder}\n"
    )
    program = servers.redis_program()
    assert program, servers.NO_REDIS
    with subprocess.Popen(
        [program, str(folder / "redis.conf")], stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield f"redis://:{password}@{SERVER}:6390/0"
        finally:
            process.terminate()


@contextlib.contextmanager
def workers(env: dict[str, str], folder: Path) -> Iterator[None]:
    """`curate worker` on both hosts."""
    inside = 'hostname "$0" && exec "$@"'
    started = []
    for host in HOSTS:
        log = (folder / f"{host}.log").open("ab")
        words = ["ip", "netns", "exec", host, "unshare", "--uts", "sh", "-c", inside, host]
        command = [*words, CURATE, "worker", "-Q", "cpu", "-c", "1"]
        started.append(subprocess.Popen(command, env=env, stderr=log))
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def by_host(engine: Engine) -> dict[str, int]:
    """How many batches each host has saved."""
    query = "SELECT worker, count(*) FROM batches WHERE n_ok > 0 GROUP BY worker"
    batches = dict.fromkeys(HOSTS, 0)
    with engine.connect() as connection:
        for worker, count in connection.execute(text(query)):
            host = str(worker).rpartition("@")[2]
            batches[host] = batches.get(host, 0) + int(count)
    return batches


def unfinished(engine: Engine, name: str) -> int:
    """Rows of the dataset that still wait or are being worked on."""
    with engine.connect() as connection:
        return sum(
            int(connection.execute(text(ACTIVE.format(table)), {"name": name}).scalar_one())
            for table in ("videos", "clips")
        )


def wait(what: str, ready: Any, seconds: float = 600) -> None:
    """Wait, saying for what."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.3)


def enqueue(env: dict[str, str], videos: Path, name: str) -> None:
    """Videos into a dataset, from the first host."""
    # small batches, so that there is something to share and to cut
    small = [word for stage in STAGES for word in ("--set", f"{stage}.batch_size=2")]
    options = ["--name", name, "--set", "split.min_seconds=0.5", *small]
    command = ["ip", "netns", "exec", HOSTS[0], CURATE, "enqueue", str(videos), *options]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)


def result(engine: Engine, name: str) -> list[tuple[Any, ...]]:
    """The rows as they ended."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(ROWS), {"name": name})]


def doubled(engine: Engine, name: str) -> int:
    """Rows that a stage saved more than once: what its batches saved less the rows there are."""
    count = "SELECT count(*) FROM {} r JOIN datasets d ON d.id = r.dataset_id WHERE d.name = :name"
    with engine.connect() as connection:
        saved = {s: int(n) for s, n in connection.execute(text(SAVED), {"name": name})}
        videos, clips = (
            int(connection.execute(text(count.format(table)), {"name": name}).scalar_one())
            for table in ("videos", "clips")
        )
    rows = {"probe": videos, "split": videos}
    return sum(max(0, count - rows.get(stage, clips)) for stage, count in saved.items())


def main() -> None:
    """Run, cut, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--cut-seconds", type=float, default=15, help="more than the lease of 4 s")
    args = parser.parse_args()
    password = secrets.token_hex(12)
    settings = {"listen_addresses": SERVER}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hosts-")))
        (folder / "videos").mkdir()
        for n in range(args.videos):  # all different: dedup drops none
            frames = [picture(i, scene=2 * n + i // 24) for i in range(48)]
            write_video(folder / "videos" / f"v{n:03}.mp4", frames, B_FRAMES)
        stack.enter_context(network())
        postgres = stack.enter_context(servers.postgres_server(settings, NETWORK))
        postgres.execute(f"ALTER USER postgres PASSWORD '{password}'")
        postgres.execute("CREATE DATABASE curate")
        url = f"postgresql://postgres:{password}@{SERVER}/curate"
        broker = stack.enter_context(redis(password, folder))
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
        env = clean | {
            "CURATE_DATABASE_URL": url,
            "CURATE_BROKER_URL": broker,
            "CURATE_HOME": str(folder / "home"),
        }
        env["CURATE_LEASE_SECONDS"] = str(LEASE)
        engine = make_engine(url)
        stack.callback(engine.dispose)
        enqueue(env, folder / "videos", "cut")
        with workers(env, folder):
            counts = run(engine, args.cut_seconds)
            enqueue(env, folder / "videos", "whole")
            wait("the same videos without a cut", lambda: unfinished(engine, "whole") == 0)
        report(engine, counts, args)
        secret = any(password in path.read_text() for path in folder.glob("*.log"))
        assert not secret, "a password is in a log"


def run(engine: Engine, cut_seconds: float) -> dict[str, dict[str, int]]:
    """Wait for both hosts, cut the second off, connect it again, wait for the end.

    Returns the batches by host at each point.
    """
    counts = {}
    wait("both hosts work", lambda: min(by_host(engine).values()) >= 3)
    counts["at the cut"] = by_host(engine)
    ip("link", "set", HOSTS[1], "down")
    end = time.monotonic() + cut_seconds
    wait(f"{HOSTS[1]} is cut off for {cut_seconds:g} s", lambda: time.monotonic() > end)
    counts["when it came back"] = by_host(engine)
    assert unfinished(engine, "cut"), "everything was done before the cut was over: more --videos"
    ip("link", "set", HOSTS[1], "up")
    wait("all rows are through", lambda: unfinished(engine, "cut") == 0)
    counts["at the end"] = by_host(engine)
    return counts


def report(engine: Engine, counts: dict[str, dict[str, int]], args: argparse.Namespace) -> None:
    """Print the table and the last line."""
    cut, whole = result(engine, "cut"), result(engine, "whole")
    for when, batches in counts.items():
        print(f"{when:20} " + "   ".join(f"{h} {n:4} batches" for h, n in batches.items()))
    through = {row[:2] for row in cut if row[3] in ("kept", "dropped")}
    figures = {
        "videos": args.videos,
        "clips": len(cut),
        "lost": sum(row[:2] not in through for row in whole),
        "doubled": doubled(engine, "cut"),
        "equal": cut == whole,
        "batches": counts,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
