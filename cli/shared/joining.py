"""Stages that join the pipeline of a dataset which was made without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curate.configs.pipeline import Pipeline, parse
from curate.tasks.registry import stages
from curate.worker.session.database import OpenDataset
from curate.worker.session.pipelines import check, check_ready


def with_steps(opened: OpenDataset, steps: Sequence[Mapping[str, Any]]) -> Pipeline:
    """The pipeline of a dataset with more steps at its end, before a stage that comes last; it is
    not stored. Raises ConfigError, ServiceError for a stage that cannot run there.
    """
    frozen = opened.dataset.frozen
    last = {name for name, cls in stages().items() if cls.comes_last}
    end = next((i for i, step in enumerate(frozen) if step.get("stage") in last), len(frozen))
    source = f"of dataset {opened.name}"
    pipeline = parse([*frozen[:end], *steps, *frozen[end:]], stages(), source)
    check(pipeline, ready=False)
    check_ready(Pipeline(tuple(pipeline.by_name[s["stage"]] for s in steps if "stage" in s)))
    return pipeline
