"""`curate search`: the clips that look like a text."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.options import DatasetName, Json, Where
from curate.cli.shared.output import emit
from curate.cli.shared.pipelines import model_of
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.schema import Column
from curate.db.export import available
from curate.db.filters.check import check_where
from curate.db.vectors import described, embedded
from curate.tasks.models.catalog import folder_of
from curate.tasks.models.embeddings import read, unit
from curate.tasks.models.towers import TextTower, text_tower

STAGE = "clip_embed"
COLUMNS = ("score", "id", "video", "start_seconds", "end_seconds", "status", "path")


def search(
    ctx: typer.Context,
    words: Annotated[str, typer.Argument(metavar="TEXT", help="What the clips should show.")],
    name: DatasetName = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=100_000, help="Clips to show, the best ones.")
    ] = 20,
    where: Where = "",
    as_json: Json = False,
) -> None:
    """The clips that look most like a text, by the CLIP embeddings that the stage clip_embed
    stored.

    The score is 100 times the cosine of text and best frame, usually 10 to 35. Reads every
    embedding of the dataset.

    Example:
      curate search "a dog on a beach" -n 20
    """
    session = Session.of(ctx)
    opened = open_dataset(session, name)
    best: dict[int, float] = {}  # by clip, of its best frame
    for clip, score in _frame_scores(session, opened, words, where):
        best[clip] = max(score, best.get(clip, score))
        if len(best) > 20 * count + 100_000:  # memory grows with `count`, not with the clips
            best = dict(_largest(best, count))
    largest = _largest(best, count)
    clips = described(opened.engine, [clip for clip, _ in largest])
    rows = [{"score": round(score, 4), **clips[clip]} for clip, score in largest if clip in clips]
    emit(rows, as_json, None if as_json else COLUMNS)
    if rows and not as_json:
        first = rows[0]["id"]
        session.next(("sql", f"SELECT * FROM clips WHERE id = {first}"))  # noqa: S608  a number


def _largest(scores: dict[int, float], count: int) -> list[tuple[int, float]]:
    return heapq.nsmallest(count, scores.items(), key=lambda item: (-item[1], item[0]))


def _frame_scores(
    session: Session, opened: OpenDataset, words: str, where: str
) -> Iterator[tuple[int, float]]:
    """Clip and score of each embedded frame. Raises UsageError, FilterError, BadModel."""
    if not opened.pipeline.has(STAGE):
        raise UsageError(
            what=f"dataset {opened.name} has no embeddings to search: its pipeline has no stage"
            f" {STAGE}. Start one that has them with: "
            f"{opened.run_anew('--config', 'scores.yaml')}"
        )
    model = str(model_of(opened.pipeline.stage(STAGE)))
    if where:
        status = Column("text", "kept, dropped, failed or active")
        check_where(where, available(opened.pipeline) | {"status": status})
    text: NDArray[np.float32] | None = None
    tower: TextTower | None = None
    for ids, revision, vectors in embedded(opened.engine, opened.dataset.id, model, where):
        if tower is None or text is None:  # loaded only when there is something to search
            # one text: an NPU would be started for it beside the worker that has it
            folder = folder_of(model, session.settings.model_folder)
            tower = text_tower(folder, "CPU", batch=1)
            text = tower.logit_scale * unit(tower.embed([words]))[0]
        if revision != tower.revision:
            raise UsageError(
                what=f"clips were embedded by other weights ({revision}) than those in the model"
                f" folder ({tower.revision}). Embed them again with: `curate redo {STAGE}"
                " DATASET`"
            )
        yield from zip(ids, (float(s) for s in read(vectors) @ text), strict=True)
    if tower is None:
        which = " for which --where is true" if where else ""
        raise UsageError(
            what=f"no clip of dataset {opened.name}{which} is embedded yet. Add the stage {STAGE}"
            " to its pipeline, or see: `curate status DATASET`"
        )
