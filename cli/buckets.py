"""`curate buckets`: how many clips are in each bucket, and how many fit none."""

from __future__ import annotations

from typing import Annotated, Any, cast

import typer

from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import emit
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.reports.counts import count_values
from curate.tasks.bucket import Bucket, BucketOptions
from curate.tasks.video.buckets import parse_bucket, read_table
from curate.worker.session.database import OpenDataset, open_dataset

COLUMNS = ("bucket", "no_bucket", "height", "width", "frames", "aspect_ratio", "clips", "kept")
SPARE = ("height", "width", "frames", "aspect_ratio")


def buckets(
    ctx: typer.Context,
    dataset: DatasetName = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="TABLE",
            help="List the buckets of 256p, 480p, 720p or file://table.yaml, without clips.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the sizes and lengths in which trainers batch clips, and count the clips in each.

    A bucket is HEIGHTxWIDTHxFRAMES. The last rows count the clips that fit none, and why. clips
    counts dropped ones too; kept, those through the pipeline.

    Example:
      curate buckets
      curate buckets videos --json
      curate buckets --table 480p
    """
    session = Session.of(ctx)
    if table is not None:
        if dataset is not None:
            raise UsageError(what="give a dataset or --table, not both")
        try:
            rows = [_shape(name) for name in read_table(table)]
        except ValueError as error:
            raise UsageError(what=f"--table {table}: {error}") from None
        emit(rows, as_json, None if as_json or not rows else tuple(rows[0]), SPARE)
        sets = ("--set", "bucket.enabled=true", "--set", f"bucket.table={table}")
        session.next(("run", "FOLDER", "-o", "clips.csv", *sets))
        return
    opened = open_dataset(session, dataset)
    rows = _counted(opened)
    if not as_json:
        unknown = {"bucket": "", "no_bucket": "not looked at"}
        rows = [row if row["bucket"] or row["no_bucket"] else row | unknown for row in rows]
    emit(rows, as_json, COLUMNS, SPARE)
    session.next(("export", opened.name, "-o", "clips.csv", "--where", "bucket IS NOT NULL"))


def _shape(name: str) -> dict[str, Any]:
    """A bucket as JSON."""
    bucket = parse_bucket(name)
    return {"bucket": name, **bucket._asdict(), "aspect_ratio": bucket.height / bucket.width}


def _counted(opened: OpenDataset) -> list[dict[str, Any]]:
    """A row for each bucket of the dataset's table, or of a clip, and for each reason to have none.

    Raises UsageError where no stage writes buckets.
    """
    if Bucket.name not in opened.pipeline.by_name:
        raise UsageError(
            what=f"dataset {opened.name} has no stage {Bucket.name}; see the buckets there are"
            " with: `curate buckets --table 480p`. Or start a new dataset with: "
            + opened.dataset.run_anew("--set", "bucket.enabled=true")
        )
    options = cast(BucketOptions, opened.pipeline.by_name[Bucket.name].options)
    found = count_values(opened.engine, opened.dataset.id, ("bucket", "no_bucket"))
    counts = {one.values: {"clips": one.rows, "kept": one.kept} for one in found}
    names = dict.fromkeys((*options.table, *(name for name, _ in counts if name)))
    empty = dict.fromkeys(COLUMNS)
    none = {"clips": 0, "kept": 0}
    rows = [{**empty, **_shape(name), **counts.get((name, None), none)} for name in names]
    misfits = sorted((why or "" for name, why in counts if name is None), reverse=True)
    return rows + [
        {**empty, "no_bucket": why or None, **counts[None, why or None]} for why in misfits
    ]
