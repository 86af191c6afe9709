"""Stages join a pipeline at its end, before those that come last."""

from __future__ import annotations

import pytest

from curate.cli.shared.joining import with_steps
from curate.cli.shared.session import Session
from curate.configs.errors import ConfigError
from curate.worker.session.database import open_dataset
from tests.cli.conftest import Filled, give_pipeline


def test_a_stage_joins_before_the_one_that_comes_last(filled: Filled) -> None:
    give_pipeline(filled, ["probe", "split", "clip_embed", "cut"])
    opened = open_dataset(Session(), "pets")
    pipeline = with_steps(
        opened, [{"stage": "concept"}, {"filter": "near", "where": "concept = 0"}]
    )
    assert [step.name for step in pipeline.steps] == [
        "probe", "split", "clip_embed", "concept", "near", "cut",
    ]  # fmt: skip
    assert "concept" not in open_dataset(Session(), "pets").pipeline.by_name, "it is not stored"


def test_a_stage_without_its_input_is_refused(filled: Filled) -> None:
    opened = open_dataset(Session(), "pets")
    with pytest.raises(ConfigError, match="reads embeddings"):
        with_steps(opened, [{"stage": "concept"}])
