"""Which stage of a pipeline embeds clips, by which model: what a search by text looks through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curate.configs.errors import NoEmbeddings
from curate.configs.pipeline import Pipeline
from curate.tasks.models.catalog import Need
from curate.tasks.models.embeddings import TABLE
from curate.tasks.registry import stages


@dataclass(frozen=True)
class Embedder:
    """A stage that stores embeddings by a CLIP model, and the weights of that model."""

    stage: str
    need: Need


def embedder_of(pipeline: Pipeline, dataset: str, run_anew: Callable[..., str]) -> Embedder:
    """The stage of a pipeline whose embeddings a text can be compared with.

    Raises NoEmbeddings if there is none; `run_anew` makes the command, of options, that starts a
    dataset of the same videos.
    """
    for step in pipeline.stages:
        cls = stages()[step.name]
        if TABLE in cls.writes and (clip := _by_clip(step.models)):
            return Embedder(step.name, clip[0])
    names = " or ".join(
        name
        for name, cls in stages().items()
        if TABLE in cls.writes and _by_clip(cls.models(cls.Options()))
    )
    anew = run_anew("--config", "scores.yaml")
    raise NoEmbeddings(name=dataset, stages=names, anew=anew)


def _by_clip(needs: Sequence[Need]) -> list[Need]:
    """The CLIP models among those that a stage needs; others know no texts."""
    return [need for need in needs if need.kind == "clip"]
