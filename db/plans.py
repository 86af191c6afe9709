"""Predictions of what datasets will cost, kept for those that are made of the same videos by the
same stages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert, select

from curate.configs.pipeline import Pipeline
from curate.db.datasets import Dataset
from curate.db.engine import reading, writing
from curate.db.schema import plans


@dataclass(frozen=True)
class Plan:
    """A prediction as it was stored. `filters_differ`: the dataset has other filters since."""

    prediction: Mapping[str, Any]
    created_at: float  # unix seconds
    filters_differ: bool


def store_plan(
    engine: Engine, root: str, pipeline: Pipeline, prediction: Mapping[str, Any]
) -> None:
    """Keep a prediction for the datasets of this root and pipeline."""
    texts = {"pipeline": json.dumps(pipeline.frozen()), "prediction": json.dumps(prediction)}
    with writing(engine) as connection:
        connection.execute(insert(plans).values(root=root, created_at=time.time(), **texts))


def plan_of(engine: Engine, dataset: Dataset) -> Plan | None:
    """The newest prediction for the root and the stages of a dataset; None: there is none."""
    query = select(plans.c.pipeline, plans.c.prediction, plans.c.created_at)
    newest = query.where(plans.c.root == dataset.root).order_by(plans.c.id.desc())
    own = dataset.frozen
    with reading(engine, "AUTOCOMMIT") as connection:
        for pipeline, prediction, created_at in connection.execute(newest):
            steps = json.loads(pipeline)
            if _stages(steps) == _stages(own):
                return Plan(json.loads(prediction), created_at, steps != own)
    return None


def _stages(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [step for step in steps if "stage" in step]
