"""Predictions find the datasets that they are of: those of the same root and stages."""

from __future__ import annotations

from dataclasses import replace

from curate.configs.pipeline import Pipeline, parse
from curate.db.plans import plan_of, store_plan
from tests.pipelines import CATALOG, Line


def other(*steps: dict[str, object]) -> Pipeline:
    return parse([{"stage": "probe"}, {"stage": "split"}, *steps], CATALOG, "a test")


def test_the_newest_plan_of_the_same_videos_and_stages_counts(line: Line) -> None:
    root, pipeline = line.dataset.root, line.pipeline
    assert plan_of(line.engine, line.dataset) is None
    store_plan(line.engine, root, pipeline, {"videos": 1})
    store_plan(line.engine, root, pipeline, {"videos": 2})
    store_plan(line.engine, root, other(), {"videos": 3})
    store_plan(line.engine, f"{root}2", pipeline, {"videos": 4})
    found = plan_of(line.engine, line.dataset)
    assert found and found.prediction == {"videos": 2} and not found.filters_differ


def test_a_plan_says_when_filters_differ(line: Line) -> None:
    stages = Pipeline(line.pipeline.stages)
    assert stages != line.pipeline, "the line has a filter"
    store_plan(line.engine, line.dataset.root, stages, {"videos": 1})
    found = plan_of(line.engine, replace(line.dataset))
    assert found and found.filters_differ
