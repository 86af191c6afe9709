"""`curate plan`: what a run will cost, predicted from a sample of its videos."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import curate.cli
from curate.cli.shared.options import Config, Images, Json, Name, Processes, Sets, Sources
from curate.cli.shared.output import Counter, emit_json
from curate.cli.shared.planned import print_plan
from curate.cli.shared.session import Session
from curate.configs.pipeline import Pipeline
from curate.configs.shown import counted
from curate.db.datasets import all_datasets
from curate.db.plans import store_plan
from curate.worker.planning.prediction import Chosen, PlanRequest, choose_sample, predict
from curate.worker.prepared import prepare_worker
from curate.worker.session.database import make_database
from curate.worker.session.enqueuing import (
    EnqueueRequest,
    choose,
    existing_database,
    pipeline_for,
)
from curate.worker.session.running import RunStopped
from curate.worker.session.weights import check_models


def plan(
    ctx: typer.Context,
    sources: Sources,
    config: Config = None,
    sets: Sets = None,
    name: Name = None,
    images: Images = False,
    sample: Annotated[
        int, typer.Option("--sample", min=1, max=1000, help="Videos that are run for it.")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the sample.")] = 0,
    jobs: Processes = None,
    as_json: Json = False,
) -> None:
    """Predict what a run will cost, by running the pipeline on a sample of the videos.

    CPU or NPU hours of each stage, bytes, clips, tokens and money, each with an interval that holds
    the true number with 95 %. Nothing is written but the prediction, which `curate status` tells
    beside the truth. Stages that ask servers ask them about the sample, which may cost money.

    Example:
      curate plan videos/
      curate plan videos/ -c quality.yaml --sample 40 --json
    """
    session = Session.of(ctx)
    if curate.cli.is_program:
        prepare_worker()
    request = EnqueueRequest(sources, config, sets or (), name, images)
    known = existing_database(session)
    dataset = choose(all_datasets(known) if known else [], request)
    pipeline = pipeline_for(dataset, request)
    check_models(pipeline, session.settings.model_folder)
    planned = PlanRequest(request, sample, seed, jobs)
    with Counter(session.console, "videos looked at") as counter:
        chosen = choose_sample(session, planned, counter.show)
    root = request.root if isinstance(dataset, str) else dataset.root
    prediction = _predict(session, planned, pipeline, chosen)
    engine = known or make_database(session)
    store_plan(engine, root, pipeline, prediction)
    if as_json:
        emit_json(prediction)
    else:
        print_plan(prediction)
    _say_what_failed(session, prediction)
    if not as_json:
        if isinstance(dataset, str):
            session.next(_run_words(request))
        else:
            session.next(("resume", dataset.name), ("status", dataset.name))


def _predict(
    session: Session, request: PlanRequest, pipeline: Pipeline, chosen: Chosen
) -> dict[str, Any]:
    """Run the sample, saying what is done. Exits with 130 when it is stopped."""
    videos, sampled = chosen.population.videos, len(chosen.estimator.chosen)
    if chosen.whole:
        session.console.say(
            f"{counted(videos, 'video')} found. The sample is all of them: the plan takes as long "
            "as the run itself, and tells what it took. For a smaller one, give --sample"
        )
    else:
        session.console.say(f"{counted(videos, 'video')} found; {sampled} of them run for the plan")
    try:
        return predict(session, request, pipeline, chosen)
    except RunStopped:
        session.console.say("Stopped. Nothing is kept; the same command begins anew")
        raise typer.Exit(130) from None


def _say_what_failed(session: Session, prediction: dict[str, Any]) -> None:
    """Say how many rows of the sample failed: the whole may fail in other ways."""
    if failed := prediction["failed"]:
        kinds = ", ".join(f"{rows} x {error}" for error, rows in failed.items())
        session.console.warn(
            f"{counted(sum(failed.values()), 'row')} of the sample failed ({kinds}); the prediction"
            " assumes the same share of all. After the run, `curate errors` tells why"
        )


def _run_words(request: EnqueueRequest) -> list[str]:
    """The words of the command line that runs what was planned."""
    words = ["run"]
    words += ["--config", str(request.config)] if request.config else []
    words += [word for assignment in request.sets for word in ("--set", assignment)]
    words += ["--name", request.name] if request.name else []
    words += ["--images"] if request.images else []
    return [*words, "-o", "clips.csv", "--", *request.sources]
