"""curate from Python: runs datasets, reads clips as pandas DataFrames. `curate.open()` begins.

Remarks go to stderr, and a line every 30 seconds that tells how far a run is; what a command would
refuse raises the same error (curate.configs.errors.CurateError). Tables need pandas: an extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.configs.errors import NoDatasets, PackageMissing, UsageError
from curate.configs.packages import install
from curate.db import datasets
from curate.db.export import Exported, plan, rows_of
from curate.db.reports.overview import condition, view_dataset
from curate.db.selection import STATUSES, Selection
from curate.tasks.inputs.paths import to_path
from curate.tasks.storage.locations import home_text
from curate.worker.session.database import OpenDataset, open_database, open_dataset
from curate.worker.session.enqueuing import EnqueueRequest, enqueue_videos
from curate.worker.session.home import HomeSession
from curate.worker.session.running import run_workers
from curate.worker.session.search import COLUMNS, look_alikes

if TYPE_CHECKING:
    import os

    import pandas


def open_home(home: str | os.PathLike[str] | None = None, quiet: bool = False) -> Home:
    """The home folder with its database and files: `curate.open`.

    Without `home` it is CURATE_HOME, or curate-data in the current folder; nothing is made before
    `run`. `quiet` shows no progress.
    """
    return Home(HomeSession(Path(home) if home is not None else None, quiet))


class Home:
    """A home folder: its datasets, SQL over all of them, and runs."""

    def __init__(self, session: HomeSession) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<curate home {self.folder}>"

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._session.settings.folder

    def datasets(self) -> pandas.DataFrame:
        """One row a dataset, in the order in which they were made: name, root (the sources), state,
        and how many videos and clips there are, how many clips were kept and dropped, and how many
        videos and clips failed. Without a dataset it is empty.
        """
        columns = ("name", "root", "state", "videos", "clips", "kept", "dropped", "failed")
        try:
            engine = open_database(self._session)
        except NoDatasets:
            return _frame([], columns)
        rows = []
        for each in datasets.all_datasets(engine):
            view = view_dataset(engine, each.id)
            totals = view.totals
            counts = (totals.videos, totals.clips, totals.kept, totals.dropped, totals.failed)
            rows.append((each.name, each.root, condition(view, bool(each.refiltering)), *counts))
        return _frame(rows, columns)

    def dataset(self, name: str | None = None) -> Dataset:
        """A dataset by its name, or the newest one.

        Raises NoDatasets when there is none, UsageError for a name that none has.
        """
        return Dataset(self._session, open_dataset(self._session, name))

    def run(
        self,
        *sources: str | os.PathLike[str],
        config: str | os.PathLike[str] | None = None,
        set: Sequence[str] = (),
        name: str | None = None,
        images: bool = False,
        processes: int | None = None,
    ) -> Dataset:
        """Turn videos into clips, as `curate run` does, and return their dataset.

        `sources` are folders, files, tables of paths and URLs; `config` is a pipeline file or a
        preset; `set` are overrides such as `split.max_seconds=10`; `images` lets still pictures
        join; `processes` is how many run on this host. The same call again goes on where it
        stopped, and does only what is new. Rows that fail raise nothing: they are in
        `clips(statuses=["failed"])` and counted in `datasets()`. Raises KeyboardInterrupt when it
        is stopped; nothing is lost then.
        """
        request = EnqueueRequest(
            [str(source) for source in sources], Path(config) if config else None, set, name, images
        )
        opened, report = enqueue_videos(self._session, request)
        report.tell(self._session.console, opened.name)
        return Dataset(self._session, opened).run(processes)

    def sql(self, statement: str, max_rows: int = 1_000_000) -> pandas.DataFrame:
        """The rows of one SELECT, which can only read: tables and columns as `curate sql` has them.

        Raises SqlRefused for any other statement, SqlFailed for one that the database refuses or
        that takes longer than CURATE_SQL_SECONDS, UsageError when there are more than `max_rows`.
        """
        from curate.db.readonly.query import run_query  # loads sqlglot

        open_database(self._session)
        settings = self._session.settings
        url = settings.readonly_database_url or settings.database
        found = run_query(url, statement, settings.sql_seconds, max_rows, None, home_text(settings))
        if found.truncated:
            raise UsageError(what=f"There are more than {max_rows} rows; give a larger max_rows")
        return _frame(found.rows, found.columns)


class Dataset:
    """The videos and clips of one run, and the pipeline that they go through."""

    def __init__(self, session: HomeSession, opened: OpenDataset) -> None:
        self._session = session
        self._opened = opened

    def __repr__(self) -> str:
        return f"<curate dataset {self.name}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._opened.name

    @property
    def pipeline(self) -> list[dict[str, Any]]:
        """Its steps in order, each with all its options: a copy."""
        return self._opened.dataset.frozen

    def clips(
        self,
        where: str = "",
        columns: Sequence[str] = (),
        sort: str = "",
        statuses: Sequence[str] = ("kept",),
        limit: int | None = None,
    ) -> pandas.DataFrame:
        """One row a clip, those that were kept unless `statuses` says more.

        `where` is a SQL condition on columns, `columns` are those to read (none: those that `curate
        export` writes), `sort` is such as `flow desc, seconds` (empty: video by video), `limit`
        takes the first ones. `path` and `source` are whole paths. Files are not looked at. Raises
        UsageError, FilterError.
        """
        if wrong := [status for status in statuses if status not in STATUSES]:
            raise UsageError(what=f"statuses {wrong[0]}: it is a list of {', '.join(STATUSES)}")
        chosen = Selection(where, tuple(columns), sort, tuple(statuses), limit)
        engine = self._opened.engine
        planned = plan(engine, self._opened.dataset.id, self._opened.pipeline, chosen)
        with rows_of(engine, planned, to_path, Exported(planned.names)) as rows:
            return _frame([row.values for row in rows], planned.names)

    def search(self, text: str, count: int = 20, where: str = "") -> pandas.DataFrame:
        """The clips that look most like a text, the best first, as `curate search` finds them.

        `score` is 100 times the cosine of text and best frame, higher is better, usually 10 to 35.
        Needs the embeddings and weights of the stage clip_embed. Raises NothingEmbedded,
        ConfigError, ServiceError, FilterError.
        """
        found = look_alikes(self._session, self._opened, text, count, where)
        return _frame(found, COLUMNS)

    def run(self, processes: int | None = None) -> Dataset:
        """Go on until nothing of it is left, as `curate resume` does; returns itself.

        Raises KeyboardInterrupt when it is stopped; nothing is lost then.
        """
        run_workers(self._session, self._opened, processes)
        return self

    def stages(self) -> pandas.DataFrame:
        """One row a stage, in order: its level and queue; how many rows are waiting, running, done,
        dropped and failed there; `rate` in rows a second, and the seconds that are left, empty
        when nothing tells them.
        """
        view = view_dataset(self._opened.engine, self._opened.dataset.id, self._opened.pipeline)
        return _frame([asdict(stage) for stage in view.stages])


def _frame(rows: Sequence[Any], columns: Sequence[str] | None = None) -> pandas.DataFrame:
    try:
        import pandas  # only when a table is asked for: it takes half a second
    except ImportError:
        how = install("pandas")
        raise PackageMissing(what="A table", package="pandas", install=how) from None

    return pandas.DataFrame(rows, columns=None if columns is None else list(columns))
