"""The weights that stages need: which, whether they are there, and whether they fit together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from curate.cli.shared.pipelines import model_of
from curate.cli.shared.session import Session
from curate.configs.errors import BadModel, ModelsMissing
from curate.configs.pipeline import Pipeline
from curate.tasks.models.catalog import CATALOG, Need, folder_of, tower_of
from curate.tasks.models.verify import check, missing
from curate.tasks.registry import stages

Users = dict[str, None]  # stages, in order


def needed(pipelines: Iterable[Pipeline] = ()) -> dict[Need, Users]:
    """Every model that is known, and the stages that need it by default or in a pipeline: none for
    some.
    """
    found: dict[Need, Users] = {}
    for name, stage in stages().items():
        _add(found, stage.models(stage.Options()), name)
    for pipeline in pipelines:
        for step in pipeline.stages:
            _add(found, stages()[step.name].models(step.options), step.name)
    for model in CATALOG.values():
        found.setdefault(Need(model.kind, model.name), {})
    return found


def _add(found: dict[Need, Users], needs: Sequence[Need], stage: str) -> None:
    for need in needs:
        found.setdefault(need, {})[stage] = None


def state_of(session: Session, need: Need) -> tuple[str, str]:
    """present, missing or wrong; and what is wrong. Reads headers only."""
    folder = folder_of(need.model, session.settings.model_folder)
    if not folder.exists():
        return "missing", ""
    try:
        check(folder, need.kind, tower_of(need, session.settings.model_folder))
    except BadModel as error:
        return "wrong", f"{error.fields['why']}"
    return "present", ""


def check_models(pipeline: Pipeline, model_folder: Path) -> None:
    """Raise ModelsMissing, naming all weights that stages need and that are not there, or wrong by
    their header.
    """
    lines = missing(needs_of(pipeline), model_folder) or _of_another_width(pipeline, model_folder)
    if lines:
        raise ModelsMissing(what="The pipeline", missing="".join(f"\n  {line}" for line in lines))


def _of_another_width(pipeline: Pipeline, model_folder: Path) -> list[str]:
    """A line for each head whose CLIP model makes embeddings of another width than it takes."""
    from curate.tasks.models.checkpoint import CONFIG, read_config
    from curate.tasks.models.layouts import expected

    lines = []
    clip_models = {need.model for need in needs_of(pipeline) if need.kind == "clip"}
    for step in pipeline.stages:
        kinds = {need.kind for need in stages()[step.name].models(step.options)}
        model = model_of(step)
        if model not in clip_models or not kinds & {"aesthetic", "nsfw"}:
            continue
        from curate.tasks.models.heads import WIDTH

        folder = folder_of(str(model), model_folder)
        width = expected("clip", read_config(folder / CONFIG))["visual_projection.weight"][0]
        if width != WIDTH:
            what = f"{step.name} takes embeddings of {WIDTH} numbers, and those of {folder} have {width}"
            lines.append(f"{what}; embed by a ViT-L/14, or set {step.name}.enabled=false")
    return lines


def needs_of(pipeline: Pipeline) -> list[Need]:
    """The model weights that the enabled stages need, each once, in the order of the stages."""
    found = [need for step in pipeline.stages for need in stages()[step.name].models(step.options)]
    return list(dict.fromkeys(found))
