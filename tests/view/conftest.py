"""The pages, served from a database whose rows a test puts there, and a client to ask with."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, insert, text
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from curate.cli.shared.session import Session
from curate.configs.settings import Settings
from curate.db import datasets
from curate.db.datasets import Dataset
from curate.db.engine import is_sqlite, make_engine
from curate.db.readonly.engine import read_only_engine
from curate.db.schema import metadata
from curate.view import media, scores
from curate.view.pools import Pools
from curate.view.security import Access
from curate.view.server import make_app
from curate.view.state import Home
from curate.worker.session.database import make_reader
from curate.worker.session.pipelines import resolve_steps
from tests import servers

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
STEPS: tuple[Any, ...] = (
    "probe", "split",
    "dedup", {"filter": "unique", "where": "duplicate = 0"},
    "motion", {"filter": "moving", "where": "flow >= 0.5 AND static <= 0.5"},
    "cut",
)  # fmt: skip
VIDEO = {"fingerprint": "1", "stage": "done", "status": "kept"}
CLIP = {
    "start_pts": 0, "end_pts": 100, "num_frames": 100, "fps": 25.0, "start_seconds": 0.0,
    "end_seconds": 4.0, "seconds": 4.0, "stage": "done", "status": "kept",
}  # fmt: skip


@dataclass
class Rows:
    """A database, and shortcuts that put rows into it."""

    engine: Engine
    settings: Settings
    _videos: dict[str, int] = field(default_factory=dict)

    def dataset(self, name: str = "pets", steps: Any = STEPS) -> Dataset:
        """A dataset with a pipeline of these steps."""
        raw = [{"stage": s} if isinstance(s, str) else dict(s) for s in steps]
        pipeline = resolve_steps(raw, (), "test", ready=False).pipeline
        datasets.add_columns(self.engine, pipeline.columns())
        return datasets.create(self.engine, name, "/v", pipeline)

    def video(self, dataset: Dataset, name: str = "a.mp4", **values: Any) -> int:
        """A video; its id."""
        row = {**VIDEO, "path": f"/v/{name}", "relpath": name, "clip_stem": name, **values}
        return self._insert("videos", {"dataset_id": dataset.id, **row})

    def clip(self, dataset: Dataset, video: int, index: int = 0, **values: Any) -> int:
        """A clip of a video; its id. It is kept, and lasts four seconds, unless told otherwise."""
        row = {"dataset_id": dataset.id, "video_id": video, "clip_index": index, **CLIP, **values}
        return self._insert("clips", row)

    def _insert(self, table: str, row: Mapping[str, Any]) -> int:
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        statement = text(f"INSERT INTO {table} ({names}) VALUES ({values}) RETURNING id")
        with self.engine.begin() as connection:
            return int(connection.execute(statement, row).scalar_one())

    def insert(self, table: Any, *rows: Mapping[str, Any]) -> None:
        """Rows of a side table."""
        with self.engine.begin() as connection:
            connection.execute(insert(table), list(rows))

    def run(self, statement: str, **values: Any) -> None:
        """A statement that writes."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)


@dataclass(frozen=True)
class Served:
    """A database that several tests use one after the other, and the pages over it."""

    rows: Rows
    client: Client

    def empty(self) -> None:
        """As it was before the first test."""
        with self.rows.engine.begin() as connection:
            if is_sqlite(connection):
                connection.execute(text("PRAGMA defer_foreign_keys = ON"))
                for name in (*metadata.tables, "sqlite_sequence"):
                    connection.execute(text(f"DELETE FROM {name}"))
            else:
                names = ", ".join(metadata.tables)
                connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        shutil.rmtree(self.rows.settings.home / "samples", ignore_errors=True)
        media._samples.cache_clear()


@contextmanager
def served(url: str, folder: Path) -> Iterator[Served]:
    """A migrated database with its pages; `pets` is shown first."""
    engine = make_engine(url)
    assert make_reader(engine) == ""
    settings = Settings(home=folder, database_url=url)
    home = home_of(settings)
    with serving(home) as client:
        yield Served(Rows(engine, settings), client)
    home.engine.dispose()
    engine.dispose()


@pytest.fixture(scope="session")
def _sqlite_served(
    _migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("view")
    shutil.copy(_migrated_sqlite, folder / "test.db")
    with served(f"sqlite:///{folder / 'test.db'}", folder) as pages:
        yield pages


@pytest.fixture(scope="session")
def _postgres_served(
    postgres: servers.Postgres,
    _migrated_postgres: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    with (
        postgres.database(_migrated_postgres) as url,
        served(url, tmp_path_factory.mktemp("view")) as pages,
    ):
        yield pages


@pytest.fixture(params=["sqlite", "postgres"])
def pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Served:
    """An empty database, on each engine, and its pages."""
    pages: Served = request.getfixturevalue(f"_{request.param}_served")
    pages.empty()
    monkeypatch.setattr(scores, "SNAPSHOTS", scores.Snapshots())
    return pages


@pytest.fixture
def rows(pages: Served) -> Rows:
    """An empty database, on each engine."""
    return Rows(pages.rows.engine, pages.rows.settings)


@pytest.fixture
def client(pages: Served) -> Client:
    """The pages of the database."""
    return pages.client


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Asks a server, as a browser does that was let in."""

    port: int
    access: Access
    home: Home

    def get(self, path: str, method: str = "GET", **headers: str | None) -> Answer:
        """The answer to a request; a header of None is left out."""
        sent = {
            "Host": f"127.0.0.1:{self.port}",
            "Cookie": f"{self.access.cookie}={self.access.token}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()


Serve = Callable[..., Client]


@contextmanager
def serving(home: Home) -> Iterator[Client]:
    """The pages of a home, served by a thread of this process."""
    (listening,) = bind_sockets(0, "127.0.0.1")
    port = listening.getsockname()[1]
    access = Access({"127.0.0.1", "localhost"}, "curate_view")
    loop = asyncio.new_event_loop()
    with closing(Pools()) as pools:
        app = make_app(home, access, pools)

        async def start() -> HTTPServer:
            server = HTTPServer(app)
            server.add_sockets([listening])
            return server

        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        try:
            yield Client(port, access, home)
        finally:

            async def stop() -> None:
                server.stop()
                await server.close_all_connections()
                await app.settings["text_tower"].end()

            asyncio.run_coroutine_threadsafe(stop(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(30)
            loop.close()


def home_of(settings: Settings) -> Home:
    """What the pages of these settings share; dataset `pets` is shown first."""
    session = Session(home=settings.home)
    return Home(
        read_only_engine(settings.database, seconds=20),
        settings,
        "pets",
        session.command,
        lambda words, name: Session(home=settings.home, dataset=name).advise(words),
    )


@pytest.fixture(scope="session")
def guarded(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Pages of one dataset `pets` on SQLite, for tests that change no row."""
    folder = tmp_path_factory.mktemp("guarded")
    shutil.copy(_migrated_sqlite, folder / "test.db")
    with served(f"sqlite:///{folder / 'test.db'}", folder) as pages:
        pages.rows.dataset("pets")
        yield pages.client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium of this system. Not for the session: its event loop runs in the thread of
    the tests, where none could then run another one.
    """
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()
