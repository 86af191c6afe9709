"""Datasets and their videos: made by enqueue, put back to work by retry and resume."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.types import BigInteger, Float, Text, TypeEngine

from curate.configs.errors import NoDatasets, NoSuchDataset, UsageError
from curate.configs.names import did_you_mean
from curate.configs.pipeline import Pipeline
from curate.configs.schema import ABSENT, CANCELLED, PAUSED, RUNNING, Column
from curate.configs.texts import safe_name
from curate.db.engine import is_sqlite, reading, writing
from curate.db.expressions import quoted
from curate.db.home import home_of, stored_forms
from curate.db.queue.leases import FREE, FREE_COLUMNS, lock_leased_rows, stages_met, update_in_order
from curate.db.save.clips import restart_video
from curate.db.schema import clips, datasets, videos
from curate.db.views import make_views

CHUNK = 500  # inputs per transaction of an enqueue
LONGEST_FOLDER = 100
SAMPLES = "samples"  # lies beside the folders of clips in a store


class FoundInput(Protocol):
    """An input as curate.tasks.inputs.find gives it."""

    @property
    def path(self) -> str: ...
    @property
    def relpath(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def extra(self) -> Mapping[str, Any]: ...
    @property
    def only_known(self) -> bool: ...


@dataclass(frozen=True)
class Dataset:
    """A row of `datasets`; `frozen` is its pipeline as JSON-ready steps.

    `folder` is that of its clips, below the settings' `clips`.
    """

    id: int
    name: str
    root: str
    pipeline_text: str
    epoch: int = 0
    state: str = RUNNING
    refiltering_text: str | None = None
    forms_text: str | None = None
    folder: str = ""
    created_at: float = 0.0  # unix seconds

    @property
    def refiltering(self) -> list[str]:
        """Filters that rows may have been dropped by, while changed ones are applied or when that
        was interrupted.
        """
        names: list[str] = json.loads(self.refiltering_text or "[]")
        return names

    @property
    def forms(self) -> dict[str, int]:
        """The form of its measures in which each stage began this dataset, where it is not 1."""
        forms: dict[str, int] = json.loads(self.forms_text or "{}")
        return forms

    @property
    def frozen(self) -> list[dict[str, Any]]:
        """The steps of the pipeline, as `curate.configs.pipeline.parse` takes them."""
        steps: list[dict[str, Any]] = json.loads(self.pipeline_text)
        return steps

    def run_anew(self, *options: str) -> str:
        """The command, in backticks, that makes a new dataset of the same videos."""
        words = ("curate", "run", self.root, "-o", "clips.csv", *options, "--name", "NEW")
        return f"`{shlex.join(words)}`"


@dataclass
class Enqueued:
    """What an enqueue found and did, in videos."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    left_out: int = 0  # only_known, and not known
    gone: int = 0  # known, and not there any more

    @property
    def found(self) -> int:
        """All inputs found, without those left out."""
        return self.new + self.changed + self.unchanged


def all_datasets(engine: Engine) -> list[Dataset]:
    """Every dataset, oldest first."""
    columns = [
        datasets.c[name]
        for name in (
            "id",
            "name",
            "root",
            "pipeline",
            "epoch",
            "state",
            "refiltering",
            "forms",
            "folder",
            "created_at",
        )
    ]
    query = select(*columns).order_by(datasets.c.id)
    with reading(engine, "AUTOCOMMIT") as connection:
        return [Dataset(*row) for row in connection.execute(query)]


def has_picks(connection: Connection, dataset_id: int) -> bool:
    """Whether clips of a dataset were ever picked by hand; false where it is gone."""
    query = select(datasets.c.picks).where(datasets.c.id == dataset_id)
    return bool(connection.execute(query).scalar())


def pick(engine: Engine, name: str | None) -> Dataset:
    """The dataset called name, or without a name the newest. Raises NoSuchDataset, NoDatasets."""
    known = all_datasets(engine)
    if not known:
        raise NoDatasets(database=engine.url.render_as_string())
    if name is None:
        return known[-1]
    dataset = next((d for d in known if d.name == name), None)
    if dataset is None:
        names = [d.name for d in known]
        near = did_you_mean(name, names)
        raise NoSuchDataset(name=name, near=near, known=", ".join(names))
    return dataset


def create(engine: Engine, name: str, root: str, pipeline: Pipeline) -> Dataset:
    """Make a dataset with a frozen pipeline, and the score columns that its stages write."""
    add_columns(engine, pipeline.columns())
    frozen = json.dumps(pipeline.frozen())
    forms = json.dumps({s.name: s.spec.form for s in pipeline.stages if s.spec.form > 1})
    created_at = time.time()
    values = {"name": name, "root": root, "pipeline": frozen, "forms": forms}
    with writing(engine) as connection:
        taken = connection.execute(select(datasets.c.folder)).scalars()
        folder = folder_name(name, taken)
        made = connection.execute(
            insert(datasets)
            .values(**values, folder=folder, created_at=created_at)
            .returning(datasets.c.id)
        ).scalar_one()
    return Dataset(made, name, root, frozen, forms_text=forms, folder=folder, created_at=created_at)


def folder_name(name: str, taken: Iterable[str | None]) -> str:
    """The folder of a new dataset's clips: its name, safe in paths and URLs, with -2, -3, … where
    another dataset has it. Folders that differ by case alone are one on some file systems.
    """
    used = {SAMPLES, *(folder.lower() for folder in taken if folder)}
    base = safe_name(name)[:LONGEST_FOLDER].rstrip("-.") or "dataset"
    candidates = itertools.chain([base], (f"{base}-{n}" for n in itertools.count(2)))
    return next(candidate for candidate in candidates if candidate.lower() not in used)


_SQL_TYPES: dict[str, TypeEngine[Any]] = {"float": Float(53), "int": BigInteger(), "text": Text()}


def add_columns(engine: Engine, columns: Mapping[str, Column]) -> list[str]:
    """Add the score columns that `clips` does not have yet; returns their names."""
    with reading(engine) as connection:
        present = {c["name"] for c in inspect(connection).get_columns("clips")}
    if present.issuperset(columns):
        return []
    with writing(engine) as connection:
        present = {c["name"] for c in inspect(connection).get_columns("clips")}
        missing = [name for name in columns if name not in present]
        for name in missing:
            kind = _SQL_TYPES[columns[name].kind].compile(connection.dialect)
            unless = "" if is_sqlite(connection) else "IF NOT EXISTS "  # another host may be faster
            connection.execute(text(f"ALTER TABLE clips ADD COLUMN {unless}{quoted(name)} {kind}"))
    if missing:
        # by itself: who reads the view locks it before the table, not the other way round
        with writing(engine) as connection:
            make_views(connection)
    return missing


def enqueue(
    engine: Engine,
    dataset: Dataset,
    inputs: Iterable[FoundInput],
    pipeline: Pipeline,
    dry_run: bool = False,
) -> Enqueued:
    """Upsert videos in the order given. Same path and fingerprint, or a file that is gone: nothing
    to do; another fingerprint: again.
    """
    counts = Enqueued()
    source = iter(inputs)
    while chunk := list(itertools.islice(source, CHUNK)):
        with reading(engine) if dry_run else writing(engine) as connection:
            new, changed, left_out, gone = _new_and_changed(connection, dataset.id, chunk)
            if not dry_run:
                _insert(connection, dataset.id, new, pipeline)
                for video_id, one in changed.items():
                    values = {"times_replaced": None, **_columns(one, pipeline)}
                    restart_video(connection, dataset.id, video_id, pipeline, values)
        counts.new += len(new)
        counts.changed += len(changed)
        counts.left_out += left_out
        counts.gone += gone
        counts.unchanged += len(chunk) - len(new) - len(changed) - left_out - gone
    return counts


def _new_and_changed(
    connection: Connection, dataset_id: int, inputs: Sequence[FoundInput]
) -> tuple[list[FoundInput], dict[int, FoundInput], int, int]:
    """The inputs that are no videos yet; those with another fingerprint, by the id of the video;
    how many are left out; how many were there and are gone.
    """
    home = home_of(connection.dialect)
    forms = {form for one in inputs for form in stored_forms(one.path, home)}
    query = select(videos.c.path, videos.c.id, videos.c.fingerprint).where(
        videos.c.dataset_id == dataset_id, type_coerce(videos.c.path, Text).in_(forms)
    )
    known = {row[0]: (int(row[1]), row[2]) for row in connection.execute(query)}
    unknown = [i for i in inputs if i.path not in known]
    new = [i for i in unknown if not i.only_known]
    differing = {
        known[i.path][0]: i for i in inputs if i.path in known and known[i.path][1] != i.fingerprint
    }
    # what was found in a file that is gone stays
    changed = {video: i for video, i in differing.items() if i.fingerprint != ABSENT}
    return new, changed, len(unknown) - len(new), len(differing) - len(changed)


def sources_below(
    engine: Engine, dataset_id: int, folders: Sequence[str], known: int
) -> Iterator[str]:
    """The sources of a dataset below these folders; none where it has no more than `known`."""
    of_dataset = videos.c.dataset_id == dataset_id
    with reading(engine) as connection:
        count = select(func.count()).select_from(videos).where(of_dataset)
        if connection.execute(count).scalar_one() <= known:
            return
        paths = select(videos.c.path).where(of_dataset)
        for (path,) in connection.execution_options(yield_per=5000).execute(paths):
            if any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders):
                yield path


def video_ids(engine: Engine, dataset_id: int) -> Iterator[int]:
    """The ids of a dataset's videos."""
    query = select(videos.c.id).where(videos.c.dataset_id == dataset_id)
    with reading(engine) as connection:
        yield from connection.execution_options(yield_per=5000).execute(query).scalars()


def _insert(
    connection: Connection, dataset_id: int, new: Sequence[FoundInput], pipeline: Pipeline
) -> None:
    """Each video gets the name that its clips are called by: `a` for a.mp4; `a.mov` for a.mov
    beside it, when that comes later. Copies in several places end in a hash of where they are.
    """
    if not new:
        return
    candidates = [
        (
            os.path.splitext(one.relpath)[0],  # noqa: PTH122  a text, perhaps of a URL
            one.relpath,
            f"{one.relpath}_{one.fingerprint}",
            f"{one.relpath}_{hashlib.sha256(one.path.encode()).hexdigest()[:16]}",
        )
        for one in new
    ]
    query = select(videos.c.clip_stem).where(
        videos.c.dataset_id == dataset_id, videos.c.clip_stem.in_(set(itertools.chain(*candidates)))
    )
    taken = {row[0] for row in connection.execute(query)}
    rows = []
    for names, one in zip(candidates, new, strict=True):
        free = next(name for name in names if name not in taken)
        taken.add(free)
        rows.append({"dataset_id": dataset_id, "path": one.path, "clip_stem": free})
        rows[-1] |= _columns(one, pipeline)
    connection.execute(insert(videos), rows)


def _columns(one: FoundInput, pipeline: Pipeline) -> dict[str, Any]:
    """What an input says of its video, which waits for the first stage."""
    return {
        "relpath": one.relpath,
        "fingerprint": one.fingerprint,
        "extra": json.dumps(one.extra) if one.extra else None,
        "stage": pipeline.entry["video"],
        "status": "active",
    }


def write_pipeline(connection: Connection, dataset: Dataset, pipeline: Pipeline) -> None:
    """Write a dataset's pipeline. Raises UsageError when it is no longer the one that was read with
    `dataset`.

    First in a transaction it is also the lock: no batch is saved between the pipeline and the rows
    moved for it.
    """
    as_read = (datasets.c.id == dataset.id, datasets.c.pipeline == dataset.pipeline_text)
    changed = update(datasets).where(*as_read).values(pipeline=json.dumps(pipeline.frozen()))
    if not connection.execute(changed).rowcount:
        raise UsageError(
            what=f"Another command changed the pipeline of dataset {dataset.name} just now. "
            "Try again"
        )


def retry(
    engine: Engine,
    dataset: Dataset,
    pipeline: Pipeline,
    stage: str | None = None,
    reason: str | None = None,
) -> int:
    """Put failed rows back to the stage that failed; returns how many. `stage` and `reason` narrow
    it down.

    Clips without samples go back with their whole video, to the stage that made them.
    """
    maker = pipeline.maker("clip")
    count = 0
    with writing(engine) as connection:
        for table in (clips, videos):
            stages = [stage] if stage else stages_met(connection, table, dataset.id)
            failed = [
                table.c.dataset_id == dataset.id,
                table.c.stage.in_(stages),
                table.c.status == "failed",
            ]
            failed += [table.c.reason == reason] if reason else []
            if table is clips and maker:
                lost = select(clips.c.video_id).where(*failed, clips.c.reason == "SamplesMissing")
                again = {"stage": maker.name, "status": "active", "reason": None}
                connection.execute(
                    update(videos)
                    .where(videos.c.id.in_(lost))
                    .values(**again, return_to=None, **FREE_COLUMNS)
                )
            values = {"status": "active", "reason": None, "error": None, **FREE_COLUMNS}
            count += connection.execute(update(table).where(*failed).values(**values)).rowcount
    return count


def rename(engine: Engine, dataset: Dataset, name: str) -> None:
    """Give a dataset another name; its files stay where they are. Raises UsageError when another
    dataset has that name.
    """
    with writing(engine) as connection:
        if connection.execute(select(datasets.c.id).where(datasets.c.name == name)).first():
            raise UsageError(
                what=f"There is a dataset {name} already. Choose another name, or see all with: "
                "`curate datasets`"
            )
        connection.execute(update(datasets).where(datasets.c.id == dataset.id).values(name=name))


def pause(engine: Engine, dataset: Dataset) -> None:
    """Let no more rows be claimed; batches at work are finished and saved."""
    with writing(engine) as connection:
        _set_state(connection, dataset, PAUSED)


def cancel(engine: Engine, dataset: Dataset) -> int:
    """Let no more rows be claimed, and none at work be saved; returns how many were. They wait for
    their stage.
    """
    with writing(engine) as connection:
        _set_state(connection, dataset, CANCELLED)
        leased = [
            update_in_order(t, *_unfinished(dataset, t), t.c.lease_until > FREE)
            for t in (videos, clips)
        ]
        return sum(connection.execute(rows.values(**FREE_COLUMNS)).rowcount for rows in leased)


def _unfinished(dataset: Dataset, table: Table) -> tuple[ColumnElement[bool], ...]:
    """What the claim index finds the unfinished rows of a dataset by."""
    names = [step["stage"] for step in dataset.frozen if "stage" in step]
    return table.c.dataset_id == dataset.id, table.c.stage.in_(names), table.c.status == "active"


def _set_state(connection: Connection, dataset: Dataset, state: str) -> None:
    connection.execute(update(datasets).where(datasets.c.id == dataset.id).values(state=state))


def resume(engine: Engine, dataset: Dataset) -> int:
    """Let a dataset go on, and forget past crashes of its unfinished rows; returns how many had
    any.
    """
    count = 0
    with writing(engine) as connection:
        _set_state(connection, dataset, RUNNING)
        lock_leased_rows(connection, dataset.id)
        for table in (videos, clips):
            worn = update(table).where(*_unfinished(dataset, table), table.c.attempts > 0)
            count += connection.execute(worn.values(attempts=0)).rowcount
    return count
