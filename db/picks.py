"""Picks clips by hand, to keep or to drop, and applies the verdict at once.

Clips that an ordered stage found to be copies form a group: an original and its duplicates. The
original is the earliest of them, in the order of the stage, that is not picked to drop. So when it
is dropped, the next one takes its place, and gives it back when the pick is undone. Nothing is
measured again: `duplicate` and `duplicate_of` say which clip is the original.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, func, select, update

from curate.configs.errors import NotPicked, UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.schema import Order
from curate.db.datasets import Dataset, has_picks
from curate.db.engine import reading, writing
from curate.db.expressions import among_these
from curate.db.filters.judge import Judge
from curate.db.queue.leases import FREE_COLUMNS, lock_leased_rows
from curate.db.save.batch import lock_dataset
from curate.db.schema import DROP, KEEP, PICKED, clips, datasets

IDS_AT_ONCE = 10_000  # in a statement
NAMED = 5  # ids that a message names


@dataclass
class Picked:
    """What a pick did, in clips; those `changed` were not picked that way before.

    Clips `at_work` get their verdict when their batch is saved. `dropped` and `come_back` count the
    clips whose verdict changed, including duplicates that have another original now. `originals`
    are pairs: the new original of a group, and the one before.
    """

    clips: int = 0
    changed: int = 0
    at_work: int = 0
    dropped: int = 0
    come_back: int = 0
    originals: list[tuple[int, int]] = field(default_factory=list)


def pick_clips(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, picked: str | None, ids: Iterable[int]
) -> Picked:
    """Pick clips to KEEP or to DROP, or undo their picks (None): all of them, or none.

    A clip to keep passes every filter and goes on through its stages; one to drop is dropped.
    Raises NotPicked for ids that no clip of the dataset has, for clips that failed, and for clips
    to keep that a stage dropped; UsageError when another command changes the pipeline.
    """
    chosen = sorted(set(ids))
    ordered = {step.name: step.order for step in pipeline.stages if step.order}
    judge = Judge.of(dataset, pipeline)
    with writing(engine) as connection:
        # exclusive: no batch is claimed or saved meanwhile
        locked = lock_dataset(connection, dataset.id, exclusive=True)
        if locked.pipeline != dataset.pipeline_text:
            raise UsageError(
                what=f"Another command changed the pipeline of dataset {dataset.name} just now. "
                "Try again"
            )
        lock_leased_rows(connection, dataset.id)
        changed = _to_change(connection, dataset, judge, chosen, picked)
        _write(connection, [row.id for row in changed], picked=picked)
        at_work = {row.id for row in changed if row.owner}
        turned = [row for row in changed if DROP in (row.picked, picked)]
        originals: list[tuple[int, int]] = []
        others: set[int] = set()
        if turned and ordered:
            # a new epoch releases the batches of ordered stages, so their rows can be judged now
            in_vain = [row.id for row in turned if row.owner and row.stage in ordered]
            _write(connection, in_vain, **FREE_COLUMNS)
            at_work.difference_update(in_vain)
            for order in ordered.values():
                others |= _regroup(connection, order, [row.id for row in turned], originals)
        newer = datasets.c.epoch + (1 if turned and ordered else 0)
        of_dataset = update(datasets).where(datasets.c.id == dataset.id)
        connection.execute(of_dataset.values(epoch=newer, picks=1))
        done = Picked(len(chosen), len(changed), len(at_work), originals=originals)
        for part in _parts(sorted(others.union(chosen))):
            come_back, dropped = judge.apply(connection, "clip", among_these(clips.c.id, part))
            done.come_back, done.dropped = done.come_back + come_back, done.dropped + dropped
    return done


def count_picks(engine: Engine, dataset_id: int) -> dict[str, int]:
    """How many clips of a dataset are picked to KEEP and to DROP; empty if no clip ever was."""
    with reading(engine) as connection:
        if not has_picks(connection, dataset_id):
            return {}
        counts = select(clips.c.picked, func.count()).where(
            clips.c.dataset_id == dataset_id, clips.c.picked.is_not(None)
        )
        rows = {row[0]: int(row[1]) for row in connection.execute(counts.group_by(clips.c.picked))}
    return {picked: rows.get(picked, 0) for picked in (KEEP, DROP)}


def _parts(ids: Sequence[int]) -> Iterator[list[int]]:
    for first in range(0, len(ids), IDS_AT_ONCE):
        yield list(ids[first : first + IDS_AT_ONCE])


def _write(connection: Connection, ids: Sequence[int], **values: Any) -> None:
    for part in _parts(ids):
        rows = update(clips).where(among_these(clips.c.id, part))
        connection.execute(rows.values(**values))


def _to_change(
    connection: Connection, dataset: Dataset, judge: Judge, ids: Sequence[int], picked: str | None
) -> list[Row[Any]]:
    """The clips that are not picked that way yet. Raises NotPicked, which tells of all ids that
    cannot be picked.
    """
    names = ("id", "dataset_id", "stage", "status", "reason", "owner", "picked")
    changed: list[Row[Any]] = []
    unknown: list[int] = []
    failed: list[int] = []
    by_stage: list[int] = []  # dropped
    elsewhere: dict[int, list[int]] = defaultdict(list)  # by dataset
    for part in _parts(ids):
        query = select(*[clips.c[name] for name in names]).where(among_these(clips.c.id, part))
        rows = connection.execute(query.order_by(clips.c.id)).all()
        unknown += sorted(set(part) - {row.id for row in rows})
        for row in rows:
            by_judge = row.status != "dropped" or row.reason in (*judge.names, PICKED)
            if row.dataset_id != dataset.id:
                elsewhere[row.dataset_id].append(row.id)
            elif row.status == "failed":
                failed.append(row.id)
            elif picked == KEEP and not by_judge:
                by_stage.append(row.id)
            elif row.picked != picked:
                changed.append(row)
    wrong = [f"there is no {_listed(unknown, 'clip')}"] if unknown else []
    for dataset_id, of_other in elsewhere.items():
        query = select(datasets.c.name).where(datasets.c.id == dataset_id)
        name = connection.execute(query).scalar_one()
        theirs = "belongs" if len(of_other) == 1 else "belong"
        how = f"--dataset {shlex.quote(name)}"
        wrong.append(f"{_listed(of_other)} {theirs} to dataset {name}: {how}")
    if failed:
        wrong.append(f"{_listed(failed)} failed; first run: `curate retry DATASET`")
    if by_stage:
        wrong.append(f"a stage, not a filter, dropped {_listed(by_stage)}")
    if wrong:
        raise NotPicked(name=dataset.name, why="; ".join(wrong))
    return changed


def _listed(ids: Sequence[int], noun: str = "") -> str:
    """Such as: clips 1, 2, 3, 4, 5 and 7 more."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    noun = noun or ("clip" if len(ids) == 1 else "clips")
    return f"{noun} {', '.join(map(str, ids[:NAMED]))}{more}"


def _regroup(
    connection: Connection, order: Order, ids: Sequence[int], originals: list[tuple[int, int]]
) -> set[int]:
    """In each group of these clips, make the earliest that is not picked to drop the original.

    Adds the change to `originals`. Returns the ids of the clips that were written.
    """
    if not order.duplicate_of:
        return set()
    original, is_duplicate = clips.c[order.duplicate_of], clips.c[order.duplicate]
    now_original = func.coalesce(original, clips.c.id)
    group_ids: set[int] = set()
    for part in _parts(ids):
        query = select(now_original).where(among_these(clips.c.id, part))
        group_ids.update(connection.execute(query.where(is_duplicate.is_not(None))).scalars())
    groups: dict[int, list[Any]] = defaultdict(list)
    number = clips.c[order.number].label("number")
    columns = (clips.c.id, clips.c.status, clips.c.picked, number, now_original.label("original"))
    for part in _parts(sorted(group_ids)):
        for column in (clips.c.id, original):  # each by its index
            for row in connection.execute(select(*columns).where(among_these(column, part))):
                groups[row.original].append(row)
    written = []
    for before, group in groups.items():
        # a clip that failed does not take the place of another one
        able = [r for r in group if r.picked != DROP and (r.status != "failed" or r.id == before)]
        first = min(able, key=lambda row: (row.number, row.id), default=None)
        if first is None or first.id == before:
            continue
        originals.append((first.id, before))
        of_others = {"is_duplicate": 1, "new_original": first.id}
        of_first = {"is_duplicate": 0, "new_original": None}
        written += [{"row_id": r.id, **(of_first if r is first else of_others)} for r in group]
    if written:
        values: dict[str, Any] = {
            is_duplicate.name: bindparam("is_duplicate"),
            original.name: bindparam("new_original"),
        }
        of_row = update(clips).where(clips.c.id == bindparam("row_id"))
        connection.execute(of_row.values(values), written)
    return {row["row_id"] for row in written}
