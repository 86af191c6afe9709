"""Which clips are asked for: by status and predicate, at random, balanced by groups, by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
)

from curate.configs.pipeline import DONE
from curate.db.balance import (
    WEIGHT,
    Balance,
    Value,
    balanced_ids,
    group_sizes,
    shares_to_quotas,
)
from curate.db.expressions import quoted, random_order
from curate.db.filters.sql import to_sql
from curate.db.home import shown_sql
from curate.db.schema import FILE_SIZE, clips, datasets, videos

STATUSES = ("kept", "dropped", "failed", "active")
TRAIN, VAL = "train", "val"  # the sides of --hold-out
DATASET = "dataset"  # its name: a column where clips of several datasets are written
# columns of a clip's video that an export may read besides, each as `_source_` and its name
OF_SOURCE = (
    "path",
    "relpath",
    "clip_stem",
    "fingerprint",
    "media_type",
    "size_bytes",
    "width",
    "height",
    "rotation",
    "mirrored",
    "sample_aspect_ratio",
    "stream_index",
    "codec",
    "pixel_format",
    "transfer",
    "primaries",
    "time_base_num",
    "time_base_den",
    "time_jumps",
    "seekable",
)
PATHS = ("path", "source")
CAPTION_FIELDS = "caption_fields"  # a column of exports: those of the caption that is the text
TEXT_MODEL = "text_model"  # the column of a clip that tells who wrote that caption


@dataclass(frozen=True)
class Selection:
    """Which clips, which columns, in which order. Empty: kept clips, the usual columns, video by
    video.

    `share` (0 to 1) and then `sample` take clips at random, by a hash of a clip's place in its
    source: a clip that a share takes stays in it when others join. `seed` is that of both and of
    `shuffle`, which puts clips in random order. The first `limit` are written. With `split`, clips
    that have no side are left out, and a column tells the side; `side` then takes those on one.

    `balance` is a column by which groups of clips are balanced with the power `alpha`: a `sample`
    takes so much of each group; without one a column of weights is written. With `hold_out`, a
    column too, the side is `val` for the groups `held`, else `train`. Clips of no group are left
    out by both.
    """

    where: str = ""
    columns: Sequence[str] = ()
    sort: str = ""
    statuses: Sequence[str] = ("kept",)
    limit: int | None = None
    shuffle: bool = False
    seed: int = 0
    sample: int | None = None
    share: float | None = None
    split: bool = False
    side: str | None = None
    balance: str = ""
    alpha: float = 1.0
    hold_out: str = ""
    hold_out_groups: int = 0
    held: Sequence[Value] = ()


def value_of(name: str, selection: Selection) -> ColumnElement[Any]:
    """A column of the chosen clips; of a weight, the group that has it."""
    if name == WEIGHT:
        return column(selection.balance)
    if name == "side" and selection.hold_out:
        return case((column(selection.hold_out).in_(selection.held), VAL), else_=TRAIN)
    return column(name)


def balance_of(engine: Engine, every: Select[Any], selection: Selection) -> Balance:
    """How the groups of the clips are balanced; it counts them, after the share was taken."""
    counts = group_sizes(engine, _shared(every, selection), selection.balance)
    size = selection.sample
    quotas = None if size is None else shares_to_quotas(counts, selection.alpha, size)
    return Balance(selection.balance, selection.alpha, counts, quotas)


def chosen_clips(
    ids: Sequence[int], known: Iterable[str], selection: Selection, dialect: str
) -> Select[Any]:
    """The clips of datasets that meet the predicate and have the statuses, and a side if there is a
    split; a query that still needs its columns.
    """
    selected = _selected(ids, known, selection.statuses, dialect == "sqlite")
    query: Select[Any] = select().select_from(selected)
    if selection.where:
        query = query.where(literal_column(to_sql(selection.where, dialect)))
    if selection.hold_out:
        query = query.where(column(selection.hold_out).is_not(None))
    elif selection.split:
        query = query.where(column("side").is_not(None))
    return query


def _shared(clips_: Select[Any], selection: Selection) -> Select[Any]:
    """The clips that the share leaves."""
    if selection.share is None:
        return clips_
    below = f"{round(selection.share * 16**8):08x}" if selection.share < 1 else "g"
    return clips_.where(random_order(f"share/{selection.seed}/", column("_place")) < below)


def narrowed(
    every: Select[Any],
    selection: Selection,
    columns: Sequence[ColumnElement[Any]],
    balance: Balance | None,
    dialect: str,
) -> Select[Any]:
    """Columns of the clips that the share, the balance and the sample leave."""
    clips_ = _shared(every, selection)
    query = clips_.add_columns(*columns)
    order = random_order(f"sample/{selection.seed}/", column("_place"))
    if balance and balance.quotas is not None:
        ids = balanced_ids(clips_, balance.column, balance.quotas, order, dialect)
        return query.where(column("clip_id").in_(ids))
    if balance:
        return query.where(column(balance.column).is_not(None))
    if selection.sample is not None:
        first = clips_.add_columns(column("clip_id")).order_by(order, column("clip_id"))
        query = query.where(column("clip_id").in_(first.limit(selection.sample)))
    return query


_NEWEST = (
    "(SELECT max(c.id) FROM captions AS c WHERE c.clip_id = clips.id "
    "AND c.window_start_pts IS NULL{of_model})"
)
# both write the same bytes: on SQLite the key's index gives the fields in their order
_FIELDS = (
    "(SELECT '{{' || {together} || '}}' FROM caption_fields AS f WHERE f.caption_id = {newest})"
)
_TOGETHER = (
    "string_agg(CAST(to_json(f.field) AS text) || ': ' || CAST(to_json(f.text) AS text), ', ' "
    "ORDER BY f.field)",
    "group_concat(json_quote(f.field) || ': ' || json_quote(f.text), ', ')",
)


def _fields(chosen: bool, sqlite: bool) -> ColumnElement[Any]:
    """The fields of a clip's newest caption, as JSON; NULL: it has none. `chosen`: of the newest by
    who wrote the text, where a captioner did and not a rewriter.
    """
    newest = _NEWEST.format(of_model="")
    if chosen:
        own = _NEWEST.format(of_model=f" AND c.model = clips.{TEXT_MODEL}")
        newest = f"coalesce({own}, {newest})"
    return literal_column(_FIELDS.format(together=_TOGETHER[sqlite], newest=newest))


def _selected(
    ids: Sequence[int], known: Iterable[str], statuses: Sequence[str], sqlite: bool
) -> Subquery:
    """The clips of datasets with these statuses, with every column that a predicate may name."""
    own = [c for c in known if c not in (*PATHS, "clip_id", DATASET, CAPTION_FIELDS)]
    of_these = clips.c.dataset_id == ids[0] if len(ids) == 1 else clips.c.dataset_id.in_(ids)
    status: ColumnElement[bool] = clips.c.status.in_(list(statuses))
    if tuple(statuses) == ("kept",):  # all of them stand before DONE: a range of the claim index
        status = and_(clips.c.stage == DONE, clips.c.status == "kept")
    own_size: ColumnElement[Any] = literal_column("clips.file_size" if FILE_SIZE in own else "NULL")
    size = case((clips.c.path.is_(None), videos.c.size_bytes), else_=own_size)
    shown_source: ColumnElement[Any] = literal_column(shown_sql("videos.path", sqlite))
    folder = func.coalesce(datasets.c.folder, datasets.c.name)
    place = folder + literal("/") + videos.c.relpath + literal("/") + cast(clips.c.clip_index, Text)
    return (
        select(
            *[literal_column(f"clips.{quoted(c)}").label(c) for c in own],
            literal_column(shown_sql("coalesce(clips.path, videos.path)", sqlite)).label("path"),
            shown_source.label("source"),
            _fields(TEXT_MODEL in own, sqlite).label(CAPTION_FIELDS),
            size.label("_size"),
            videos.c.extra.label("_extra"),
            clips.c.id.label("clip_id"),
            clips.c.dataset_id,
            datasets.c.name.label(DATASET),
            clips.c.path.is_not(None).label("_own"),
            videos.c.relpath.label("_relpath"),
            place.label("_place"),
            shown_source.label("_source_path"),
            *[videos.c[name].label(f"_source_{name}") for name in OF_SOURCE if name != "path"],
        )
        .join_from(clips, videos, clips.c.video_id == videos.c.id)
        .join(datasets, clips.c.dataset_id == datasets.c.id)
        .where(of_these, status)
        .subquery("chosen")
    )
