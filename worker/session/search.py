"""The clips of a dataset that look like a text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from curate.configs.errors import NothingEmbedded
from curate.db.filters.check import check_where
from curate.db.filters.columns import columns_of
from curate.db.schema import clips
from curate.db.vectors import best_clips, described
from curate.tasks.models.catalog import folder_of
from curate.tasks.models.embedder import embedder_of
from curate.tasks.models.embeddings import TextVector
from curate.tasks.models.towers import search_tower
from curate.worker.session.database import OpenDataset
from curate.worker.session.home import HomeSession

COLUMNS = ("score", "id", "video", "start_seconds", "end_seconds", "status", "path")


def look_alikes(
    session: HomeSession, opened: OpenDataset, words: str, count: int, where: str = ""
) -> list[dict[str, Any]]:
    """The `count` clips that look most like a text, the best first, each with its score.

    Raises FilterError, NothingEmbedded, ConfigError for a dataset that embeds nothing, ServiceError
    for a model that cannot be loaded.
    """
    embedder = embedder_of(opened.pipeline, opened.name, opened.dataset.run_anew)
    model = embedder.need.model
    if where:
        check_where(where, columns_of(clips) | opened.pipeline.columns())

    @cache
    def text() -> TextVector:
        return search_tower(folder_of(model, session.settings.model_folder)).vector(words)

    def scores(revision: str, vectors: Sequence[bytes]) -> list[float]:
        # the tower is loaded only when there is something to search
        return text().scores(revision, vectors, embedder.stage)

    found = best_clips(opened.engine, opened.dataset.id, model, scores, count, where)
    if not found:
        which = " for which --where is true" if where else ""
        raise NothingEmbedded(name=opened.name, which=which)
    known = described(opened.engine, [clip for clip, _ in found])
    return [{"score": round(score, 4), **known[clip]} for clip, score in found if clip in known]
