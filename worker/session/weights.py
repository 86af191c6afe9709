"""The weights that stages need: which, whether they are there, and whether they fit together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from curate.configs.errors import BadModel, ModelsMissing
from curate.configs.pipeline import Pipeline
from curate.tasks.models.catalog import CATALOG, Need, folder_of, tower_of
from curate.tasks.models.checkpoint import CONFIG, read_config
from curate.tasks.models.layouts import HEAD_WIDTH, HEADS, expected
from curate.tasks.models.verify import check, missing
from curate.tasks.registry import stages
from curate.worker.session.pipelines import model_of

Users = dict[str, None]  # stages, in order


def needed(pipelines: Iterable[Pipeline] = ()) -> dict[Need, Users]:
    """Every model that is known, with the stages that need it by default or in a pipeline.

    Some models are needed by none.
    """
    options = [(name, stage.Options()) for name, stage in stages().items()]
    options += [(step.name, step.options) for pipeline in pipelines for step in pipeline.stages]
    users: dict[Need, Users] = {}
    for name, chosen in options:
        for need in stages()[name].models(chosen):
            users.setdefault(need, {})[name] = None
    for model in CATALOG.values():
        users.setdefault(Need(model.kind, model.name), {})
    return users


def state_of(need: Need, model_folder: Path) -> tuple[str, str]:
    """present, missing or wrong; and what is wrong. Reads headers only."""
    folder = folder_of(need.model, model_folder)
    if not folder.exists():
        return "missing", ""
    try:
        check(folder, need.kind, tower_of(need, model_folder))
    except BadModel as error:
        path = Path(str(error.fields["path"]))
        where = f"{path.name}: " if path != folder else ""
        return "wrong", f"{where}{error.fields['why']}"
    return "present", ""


def check_models(pipeline: Pipeline, model_folder: Path) -> None:
    """Raise ModelsMissing, naming all weights that its stages lack or that are wrong by header."""
    lines = missing(needs_of(pipeline), model_folder) or _other_widths(pipeline, model_folder)
    if lines:
        raise ModelsMissing(what="The pipeline", missing="".join(f"\n  {line}" for line in lines))


def _other_widths(pipeline: Pipeline, model_folder: Path) -> list[str]:
    """A line for each head whose CLIP model makes embeddings of another width than it takes."""
    lines = []
    clip_models = {need.model for need in needs_of(pipeline) if need.kind == "clip"}
    for step in pipeline.stages:
        kinds = {need.kind for need in step.models}
        model = model_of(step)
        if model not in clip_models or not kinds & HEADS:
            continue
        folder = folder_of(str(model), model_folder)
        width = expected("clip", read_config(folder / CONFIG))["visual_projection.weight"][0]
        if width != HEAD_WIDTH:
            lines.append(
                f"{step.name} takes embeddings of {HEAD_WIDTH} numbers, and those of {folder} have"
                f" {width}; embed by a ViT-L/14, or set {step.name}.enabled=false"
            )
    return lines


def needs_of(pipeline: Pipeline) -> list[Need]:
    """The model weights that the enabled stages need, each once, in the order of the stages."""
    needs = [need for step in pipeline.stages for need in step.models]
    return list(dict.fromkeys(needs))
