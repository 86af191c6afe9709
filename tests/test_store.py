"""The line on two hosts that share Postgres, Redis and an S3 bucket, and no folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import s3fs
from sqlalchemy import Engine, text

from curate.db.engine import make_engine
from tests import servers
from tests.drawing import picture
from tests.media import B_FRAMES, write_video
from tests.pipelines import wait_until
from tests.processes import CURATE
from tests.servers import S3

OPTIONS = (
    "--set",
    "split.min_seconds=0.5",
    "--set",
    "dedup.enabled=false",
    "--set",
    "cut.preset=ultrafast",
)
ROWS = """
SELECT v.relpath, c.clip_index, c.stage, c.status, c.reason, c.num_frames, c.hash_first, c.flow,
    c.black, c.file_size
FROM clips c JOIN videos v ON v.id = c.video_id ORDER BY v.relpath, c.clip_index
"""


@dataclass
class Cluster:
    """The services, the environment that leads to them, and the folder of the hosts."""

    folder: Path
    s3: S3
    database: str
    broker: str
    media: str
    services: ExitStack  # closing it stops the S3 server; what it stores stays

    def curate(self, host: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command on a host."""
        return subprocess.run(
            [CURATE, *words], env=self.environment(host), capture_output=True, text=True
        )

    def environment(self, host: str) -> dict[str, str]:
        """The variables of a host: a home folder of its own."""
        clean = {
            k: v for k, v in os.environ.items() if not k.startswith(("CURATE_", "AWS_", "FSSPEC_"))
        }
        home = self.folder / host
        return clean | self.s3.environment | {
            "HOME": str(home), "CURATE_HOME": str(home), "CURATE_DATABASE_URL": self.database,
            "CURATE_BROKER_URL": self.broker, "CURATE_MEDIA": self.media,
            "CURATE_LEASE_SECONDS": "10",
        }  # fmt: skip

    @contextmanager
    def worker(self, host: str) -> Iterator[None]:
        """A worker of the queue cpu on a host."""
        words = [CURATE, "worker", "-Q", "cpu", "-c", "2", "-n", host]
        with (self.folder / f"{host}.log").open("ab") as log:
            process = subprocess.Popen(words, env=self.environment(host), stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def rows(self, sql: str = ROWS) -> list[dict[str, Any]]:
        """Rows of the database."""
        with self._engine.connect() as connection:
            return [dict(r) for r in connection.execute(text(sql)).mappings()]

    @cached_property
    def _engine(self) -> Engine:
        return make_engine(self.database)

    def left(self) -> int:
        """Rows that are not at their end."""
        sql = (
            "SELECT (SELECT count(*) FROM videos WHERE status = 'active') "
            "+ (SELECT count(*) FROM clips WHERE status = 'active') AS n"
        )
        return int(self.rows(sql)[0]["n"])

    def log(self, host: str) -> str:
        """What the worker of a host has logged."""
        return (self.folder / f"{host}.log").read_text()


def store(s3: S3) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        key=s3.key, secret=s3.secret, endpoint_url=s3.endpoint, skip_instance_cache=True
    )


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of three scenes."""
    folder = tmp_path_factory.mktemp("videos")
    for n in range(3):
        write_video(
            folder / f"v{n}.mp4", [picture(i, scene=3 * n + i // 32) for i in range(96)], B_FRAMES
        )
    return folder


@pytest.fixture(scope="module")
def locally(videos: Path) -> list[dict[str, Any]]:
    """The rows of the same line on one host, from and to folders."""
    home = videos.parent / "one-host"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")} | {
        "CURATE_HOME": str(home)
    }
    command = [CURATE, "run", str(videos), "-o", str(home) + ".csv", "-j", "2", *OPTIONS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with make_engine(f"sqlite:///{home}/curate.db").connect() as connection:
        return [dict(r) for r in connection.execute(text(ROWS)).mappings()]


@pytest.fixture
def cluster(tmp_path: Path, videos: Path, postgres_url: str, redis_url: str) -> Iterator[Cluster]:
    """Services without rows; the bucket holds the videos below in/."""
    if servers.weed_program() is None:
        pytest.skip(servers.NO_S3)
    with ExitStack() as services:
        s3 = services.enter_context(servers.s3_server(S3(tmp_path / "store")))
        for path in videos.iterdir():
            store(s3).put_file(str(path), f"{s3.bucket}/in/{path.name}")
        yield Cluster(tmp_path, s3, postgres_url, redis_url, f"s3://{s3.bucket}/out", services)


def enqueue(cluster: Cluster, words: Sequence[str] = ()) -> None:
    done = cluster.curate("front", "enqueue", f"s3://{cluster.s3.bucket}/in", *OPTIONS, *words)
    assert done.returncode == 0, done.stderr


def test_hosts_that_share_no_folder_give_the_rows_of_one_host(
    cluster: Cluster, locally: list[dict[str, Any]]
) -> None:
    enqueue(cluster)
    with cluster.worker("left"), cluster.worker("right"):
        wait_until(lambda: cluster.left() == 0, seconds=300)
    assert cluster.rows() == locally
    paths = [r["path"] for r in cluster.rows("SELECT path FROM clips ORDER BY path")]
    objects = store(cluster.s3).find(f"{cluster.s3.bucket}/out")
    assert [f"s3://{name}" for name in objects if name.endswith(".mp4")] == paths
    assert len([name for name in objects if "/out/samples/" in name and name.endswith(".zip")]) == 3
    for host in ("left", "right"):
        assert not list((cluster.folder / host).rglob("*.zip")) and not list(
            (cluster.folder / host).rglob("*.mp4")
        )
        assert cluster.s3.secret not in cluster.log(host)
    table = cluster.folder / "clips.csv"
    assert cluster.curate("front", "export", "-o", str(table)).returncode == 0
    assert all(path in table.read_text() for path in paths)


def test_rows_wait_for_a_store_that_goes_away_and_go_on_when_it_is_back(
    cluster: Cluster, locally: list[dict[str, Any]]
) -> None:
    enqueue(cluster)
    given_back = (
        "SELECT count(*) AS n FROM batches WHERE error LIKE '%s3://tests is not available%'"
    )
    with cluster.worker("left"):
        wait_until(lambda: bool(cluster.rows("SELECT 1 FROM clips")), seconds=300)
        cluster.services.close()
        wait_until(lambda: cluster.rows(given_back)[0]["n"] > 0, seconds=300)
        assert not cluster.rows("SELECT 1 FROM videos WHERE status = 'failed'")
        assert not cluster.rows("SELECT 1 FROM clips WHERE status = 'failed'")
        with servers.s3_server(cluster.s3):
            wait_until(lambda: cluster.left() == 0, seconds=300)
    assert cluster.rows() == locally


def test_what_is_deleted_from_the_store_fails_its_own_rows_only(cluster: Cluster) -> None:
    enqueue(cluster)
    store(cluster.s3).rm_file(f"{cluster.s3.bucket}/in/v1.mp4")
    with cluster.worker("left"):
        wait_until(lambda: cluster.left() == 0, seconds=300)
    assert cluster.rows("SELECT relpath, reason FROM videos WHERE status = 'failed'") == [
        {"relpath": "v1.mp4", "reason": "Unreadable"}
    ]
    assert {r["status"] for r in cluster.rows()} == {"kept"}


@pytest.mark.parametrize("command", [("enqueue", "s3://tests/in"), ("worker",), ("doctor",)])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"CURATE_MEDIA": "s3://no-such-bucket/out"}, "aws s3 mb s3://no-such-bucket"),
        ({"AWS_SECRET_ACCESS_KEY": "gelogen"}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_at_once(
    s3: S3,
    tmp_path: Path,
    sqlite_url: str,
    command: Sequence[str],
    change: dict[str, str],
    told: str,
) -> None:
    cluster = Cluster(tmp_path, s3, sqlite_url, "", f"s3://{s3.bucket}/out", ExitStack())
    environment = cluster.environment("front") | change
    done = subprocess.run(
        [CURATE, *command], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 4
    assert told in done.stdout + done.stderr
    assert "gelogen" not in done.stdout + done.stderr and s3.secret not in done.stdout + done.stderr


def test_without_the_package_it_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None; "
        "from curate.cli.main import main; main(['enqueue', 's3://b/in'])"
    )
    environment = os.environ | {"CURATE_HOME": str(tmp_path), "CURATE_MEDIA": "s3://b/out"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 4 and "pip install 's3fs>=" in done.stderr
