"""Which stage embeds clips: known by what it writes, whatever its name."""

from __future__ import annotations

from typing import Any

import pytest

from curate.configs.errors import NoEmbeddings
from curate.configs.pipeline import parse
from curate.tasks.models import embedder
from curate.tasks.models.embedder import embedder_of
from curate.tasks.registry import stages
from curate.tasks.stage import Clip, Need, Stage, StageOptions


class Another(Stage[Clip, StageOptions]):
    """Embeds clips."""

    name = "another"
    level = "clip"
    writes = ("embeddings",)

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        return (Need("lpips", "first"), Need("clip", "second"))


def new(*options: str) -> str:
    return f"`run {' '.join(options)}`"


def test_the_stage_that_writes_embeddings_with_its_model() -> None:
    steps = [{"stage": "probe"}, {"stage": "split"}, {"stage": "clip_embed", "model": "mine"}]
    found = embedder_of(parse(steps, stages(), "test"), "pets", new)
    assert (found.stage, found.need) == ("clip_embed", Need("clip", "mine"))


def test_the_stage_of_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = {"probe": stages()["probe"], "another": Another}
    monkeypatch.setattr(embedder, "stages", lambda: catalog)
    found = embedder_of(
        parse([{"stage": "probe"}, {"stage": "another"}], catalog, "test"), "pets", new
    )
    assert (found.stage, found.need.model) == ("another", "second")


def test_without_one_the_message_says_how_to_start_a_dataset_that_has_one() -> None:
    steps = [{"stage": "probe"}, {"stage": "split"}]
    with pytest.raises(
        NoEmbeddings, match=r"pets.*no stage clip_embed.*`run --config scores.yaml`"
    ):
        embedder_of(parse(steps, stages(), "test"), "pets", new)
