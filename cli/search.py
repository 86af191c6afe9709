"""`curate search`: the clips that look like a text."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.options import DatasetName, Json, Where
from curate.cli.shared.output import emit
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.schema import Column
from curate.db.filters.check import check_where
from curate.db.vectors import described, embedded
from curate.tasks.models.catalog import folder_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.tasks.models.towers import TextTower


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
    best = _best(session, opened, words, where, count)
    known = described(opened.engine, [clip for _, clip in best])
    rows = [{"score": round(score, 4), **known[clip]} for score, clip in best if clip in known]
    emit(rows, as_json, None if as_json else COLUMNS)
    if rows and not as_json:
        session.console.next('curate sql "SELECT * FROM clips WHERE id = …"')


def _best(
    session: Session, opened: OpenDataset, words: str, where: str, count: int
) -> list[tuple[float, int]]:
    model = _model(opened)
    _check(where, opened)
    found: dict[int, float] = {}
    for clip, score in _scores(session, opened, model, words, where):
        found[clip] = max(score, found.get(clip, score))
        if len(found) > 20 * count + 100_000:
            found = dict(_largest(found, count))
    return [(score, clip) for clip, score in _largest(found, count)]


def _largest(found: dict[int, float], count: int) -> list[tuple[int, float]]:
    return heapq.nsmallest(count, found.items(), key=lambda item: (-item[1], item[0]))


def _scores(
    session: Session, opened: OpenDataset, model: str, words: str, where: str
) -> Iterator[tuple[int, float]]:
    from curate.tasks.models.embeddings import read

    text: NDArray[np.float32] | None = None
    tower: TextTower | None = None
    for ids, revision, vectors in embedded(opened.engine, opened.dataset.id, model, where):
        if tower is None or text is None:  # loaded only when there is something to search
            tower, text = _text(session, model, words)
        if revision != tower.revision:
            what = f"clips were embedded by other weights ({revision}) than those in the model folder ({tower.revision})"
            raise UsageError(
                what=f"{what}. Embed them again with: curate redo clip_embed {opened.dataset.name}"
            )
        yield from zip(ids, (float(s) for s in read(vectors) @ text), strict=True)
    if tower is None:
        what = f"no clip of dataset {opened.dataset.name}{' for which --where is true' if where else ''} is embedded yet"
        raise UsageError(
            what=f"{what}. Add the stage clip_embed to its pipeline, or see: curate status"
        )


def _text(session: Session, model: str, words: str) -> tuple[TextTower, NDArray[np.float32]]:
    from curate.tasks.models.embeddings import unit
    from curate.tasks.models.towers import text_tower

    # one text: an NPU would be started for it beside the worker that has it
    tower = text_tower(folder_of(model, session.settings.model_folder), "CPU", batch=1)
    return tower, tower.logit_scale * unit(tower.embed([words]))[0]


def _model(opened: OpenDataset) -> str:
    step: Any = next((s for s in opened.pipeline.stages if s.name == "clip_embed"), None)
    if step is None:
        what = f"dataset {opened.dataset.name} has no embeddings to search: its pipeline has no stage clip_embed"
        raise UsageError(what=f"{what}. Start one that has with: curate run … --config scores.yaml")
    return str(step.options.model)


def _check(where: str, opened: OpenDataset) -> None:
    from curate.db.export import available

    if where:
        check_where(
            where,
            available(opened.pipeline)
            | {"status": Column("text", "kept, dropped, failed or active")},
        )
