"""What was learned of all clips of a dataset, for the stages that work by it: rows of `fits`.

A dataset keeps its fits; the newest one of a stage is in force. Rows that a stage has written tell
by the id which one it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, func, insert, select

from curate.configs.pipeline import Pipeline
from curate.db.datasets import Dataset, add_columns, write_pipeline
from curate.db.engine import reading, writing
from curate.db.schema import fits


@dataclass(frozen=True)
class StoredFit:
    """A row of `fits`. `arrays` is a file of NumPy; `options` say how it was made."""

    id: int
    model: str
    revision: str
    options: Mapping[str, Any]
    arrays: bytes
    created_at: float


def newest_fit(engine: Engine, dataset_id: int, stage: str) -> int | None:
    """The id of the fit that is in force for a stage; None when there is none."""
    newest = select(func.max(fits.c.id)).where(
        fits.c.dataset_id == dataset_id, fits.c.stage == stage
    )
    with reading(engine, "AUTOCOMMIT") as connection:
        number = connection.execute(newest).scalar()
    return None if number is None else int(number)


def read_fit(engine: Engine, fit_id: int) -> StoredFit:
    """A fit by its id."""
    names = ("id", "model", "revision", "options", "arrays", "created_at")
    query = select(*[fits.c[name] for name in names]).where(fits.c.id == fit_id)
    with reading(engine) as connection:
        row = connection.execute(query).one()
    options = json.loads(row.options)
    return StoredFit(
        int(row.id), row.model, row.revision, options, bytes(row.arrays), row.created_at
    )


def save_fit(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, stage: str, **values: Any
) -> int:
    """Store a fit for a stage, which is in force from then on; returns its id.

    `values` are model, revision, options and arrays. The pipeline may have stages that the
    dataset's has not. Raises UsageError when the dataset's is no longer the one that was read.
    """
    add_columns(engine, pipeline.columns())
    row = values | {"options": json.dumps(values["options"])}
    with writing(engine) as connection:
        write_pipeline(connection, dataset, pipeline)
        new = insert(fits).values(**row, dataset_id=dataset.id, stage=stage, created_at=time.time())
        return int(connection.execute(new.returning(fits.c.id)).scalar_one())
