"""Rows whose measures were made in an earlier form of their stage, and mean something else."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, func, literal_column, select

from curate.configs.pipeline import Pipeline
from curate.configs.schema import Level
from curate.db.datasets import Dataset
from curate.db.engine import reading
from curate.db.expressions import quoted
from curate.db.schema import rows_of


@dataclass(frozen=True)
class EarlierForm:
    """How many rows went through a stage when its measures meant something else than today."""

    stage: str
    level: Level
    rows: int


def earlier_forms(engine: Engine, dataset: Dataset, pipeline: Pipeline) -> list[EarlierForm]:
    """The stages that measured rows of a dataset in an earlier form, in order.

    Reads no rows of a dataset that was made by the stages' forms of today, nor of one all of whose
    clips were done again since.
    """
    found = []
    for step in pipeline.stages:
        if dataset.forms.get(step.name, 1) >= step.spec.form:
            continue
        table = rows_of(step.level)
        names = pipeline.level_stages(step.level)
        form: ColumnElement[int] = literal_column(quoted(f"{step.name}_form"))
        earlier = (
            table.c.dataset_id == dataset.id,
            table.c.stage.in_(names[names.index(step.name) + 1 :]),
            func.coalesce(form, 1) < step.spec.form,
        )
        with reading(engine) as connection:
            count = select(func.count()).select_from(table).where(*earlier)
            rows = int(connection.execute(count).scalar_one())
        if rows:
            found.append(EarlierForm(step.name, step.level, rows))
    return found
