"""`curate concepts`: groups of clips that look alike, found in their embeddings."""

from __future__ import annotations

from collections import Counter as Tally
from collections import defaultdict
from typing import Annotated, Any

import typer

from curate.cli.shared.concept_sample import check_embeds, choose_sample, sample_vectors
from curate.cli.shared.joining import with_steps
from curate.cli.shared.one_stage import RedoRequest, redo_stage
from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import Counter, emit, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import NoConcepts, NotFitted, NothingEmbedded
from curate.configs.pipeline import DONE
from curate.configs.shown import counted, percent
from curate.db.fits import newest_fit, read_fit, save_fit
from curate.db.grouping import (
    count_groups,
    embeddings_in_order,
    some_stand_at,
    values_of_groups,
)
from curate.tasks.concept import Concept
from curate.tasks.models.catalog import usual_eps
from curate.tasks.semantic_dedup import SemanticDedup
from curate.tasks.stage import Fit
from curate.tasks.text.distinctive import distinctive, words_of
from curate.worker.session.database import OpenDataset, open_dataset

STAGE = Concept.name
TEXTS_A_CONCEPT = 200  # that it is named by
EPS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
COLUMNS = ("concept", "name", "clips", "kept", "distance")
SPARE = ("distance",)

concepts = typer.Typer(invoke_without_command=True)

Count = Annotated[
    int | None,
    typer.Option(
        "--concepts",
        "-k",
        min=1,
        max=100_000,
        help="How many; 1000 if left out, and a tenth of the clips at most.",
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(min=1, help="Clips to fit on; 64 a concept if left out, and 20 000 at least."),
]
Seed = Annotated[int, typer.Option(help="The same number gives the same concepts.")]
Model = Annotated[str | None, typer.Option(help="Whose embeddings; of most clips if left out.")]
Shown = Annotated[
    int, typer.Option("--count", "-n", min=0, help="Concepts to show, the largest; 0: all.")
]
AtEps = Annotated[
    list[float] | None,
    typer.Option("--eps", min=0, max=1, help="1 - cosine; repeatable. Several if left out."),
]
OneEps = Annotated[
    float | None,
    typer.Option(
        "--eps", min=0, max=1, help="1 - cosine of duplicates; as suits the model if left out."
    ),
]


@concepts.callback()
def every(ctx: typer.Context) -> None:
    """Groups of clips that look alike: fit them, list them, drop what looks like another clip.

    Without another word the concepts of the newest dataset are listed.

    Example:
      curate concepts fit videos -k 1000
      curate concepts list videos
      curate concepts rates videos
    """
    if ctx.invoked_subcommand is None:
        _list(Session.of(ctx), None, 20, as_json=False)


@concepts.command()
def fit(
    ctx: typer.Context,
    dataset: DatasetName = None,
    count: Count = None,
    sample: Sample = None,
    seed: Seed = 0,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Find the concepts of a dataset in the embeddings of its clips, by k-means on a sample.

    Dropped and failed clips do not count. The stage concept joins the pipeline where it has none.
    Clips have the concepts of an earlier fit until curate redo concept.

    Example:
      curate concepts fit videos -k 1000
    """
    from curate.tasks.models.concepts import check_scikit_learn, fit_centroids, packed

    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    check_scikit_learn()
    sampling = choose_sample(opened, count, sample, seed, model)
    if sampling.others:
        session.console.say(f"besides {sampling.model}: {sampling.others}; see --model")
    pipeline = opened.pipeline
    if STAGE not in pipeline.by_name:
        pipeline = with_steps(opened, [{"stage": STAGE}])
        session.console.say(f"the stage {STAGE} joins the pipeline of {opened.name}")
    with Counter(session.console, "embeddings read") as counter:
        vectors = sample_vectors(opened.engine, opened.dataset.id, sampling, counter.show)
    wanted = min(sampling.concepts, len(vectors))
    of_clips = f"{counted(len(vectors), 'clip')} of {sampling.clips}"
    session.console.say(f"fitting {counted(wanted, 'concept')} on {of_clips}")
    centroids = fit_centroids(vectors, wanted, seed)
    made_of = {"concepts": wanted, "sample": len(vectors), "clips": sampling.clips, "seed": seed}
    made_by = {"model": sampling.model, "revision": sampling.revision}
    values: dict[str, Any] = {**made_by, "options": made_of, "arrays": packed(centroids)}
    number = save_fit(opened.engine, opened.dataset, pipeline, STAGE, **values)
    if as_json:
        emit_json({"dataset": opened.name, "fit": number, **made_by, **made_of})
    else:
        made = f"fit {number}, {counted(wanted, 'concept')} on {of_clips}"
        print(f"dataset {opened.name}: {made}, embedded by {sampling.model}")
    names = pipeline.level_stages("clip")
    through = names[names.index(STAGE) + 1 :]
    if some_stand_at(opened.engine, opened.dataset.id, through or [DONE]):
        session.next(("redo", STAGE, opened.name))
    else:
        session.next(("resume", opened.name))


@concepts.command("list")
def list_(
    ctx: typer.Context, dataset: DatasetName = None, shown: Shown = 20, as_json: Json = False
) -> None:
    """List the concepts: names, clips, kept clips, mean distance of clips to the centroid.

    A concept is named by the words that its clips' texts have more often than others, or else by
    the texts of option_match that most of them are nearest to.

    Example:
      curate concepts list videos -n 0
      curate concepts list videos --json
    """
    _list(Session.of(ctx), dataset, shown, as_json)


def _list(session: Session, dataset: str | None, shown: int, as_json: bool) -> None:
    opened = open_dataset(session, dataset)
    number = _fit_of(opened)
    columns = (STAGE, "concept_fit", "concept_distance")
    groups = count_groups(opened.engine, opened.dataset.id, *columns)
    if not groups:
        raise NoConcepts(name=opened.name)
    names = _names(opened)
    current = [group for group in groups if group.fit == number]
    current.sort(key=lambda group: (-group.clips, group.value))
    rows = [
        {"concept": group.value, "name": names.get(group.value, ""), "clips": group.clips,
         "kept": group.kept, "distance": group.mean, "fit": group.fit}
        for group in current
    ]  # fmt: skip
    table = rows[: shown or None]
    emit(rows if as_json else table, as_json, None if as_json else COLUMNS, SPARE)
    if len(table) < len(rows) and not as_json:
        session.console.say(f"{len(table)} of {len(rows)} concepts; all with: -n 0")
    if earlier := sum(group.clips for group in groups if group.fit != number):
        session.console.warn(
            f"{counted(earlier, 'clip')} with a concept of an earlier fit; for one of fit {number}:"
            f" `curate redo {STAGE} DATASET`"
        )
    session.next(("concepts", "rates", opened.name) if rows else ("redo", STAGE, opened.name))


def _fit_of(opened: OpenDataset) -> int:
    """The fit in force. Raises NotFitted, NoEmbedder."""
    number = newest_fit(opened.engine, opened.dataset.id, STAGE)
    if number is None or STAGE not in opened.pipeline.by_name:
        check_embeds(opened)
        raise NotFitted(stage=STAGE)
    return number


def _names(opened: OpenDataset) -> dict[int, str]:
    """Names of concepts, by their texts or else by their options."""
    option = "option" if "option" in opened.pipeline.columns() else "NULL"
    columns = ("text", "option") if option == "option" else ("text",)
    words: dict[int, Tally[str]] = defaultdict(Tally)
    options: dict[int, Tally[str]] = defaultdict(Tally)
    texts: Tally[int] = Tally()
    clips: Tally[int] = Tally()
    rows = values_of_groups(opened.engine, opened.dataset.id, STAGE, columns)
    for concept, text, *others in rows:
        if text and texts[concept] < TEXTS_A_CONCEPT:
            texts[concept] += 1
            words[concept].update(words_of(text))
        if others and others[0]:
            clips[concept] += 1
            options[concept][others[0]] += 1
    named = distinctive(options, clips, most=2) | distinctive(words, texts, most=3)
    return {concept: ", ".join(best) for concept, best in named.items()}


@concepts.command()
def rates(
    ctx: typer.Context, dataset: DatasetName = None, eps: AtEps = None, as_json: Json = False
) -> None:
    """Show at several eps how many clips look like an earlier one.

    eps is 1 - cosine of both clips. Nothing is written: semantic_dedup, with the eps of your
    choice, marks the clips.

    Example:
      curate concepts rates videos
      curate concepts rates videos --eps 0.04 --eps 0.06 --json
    """
    from curate.tasks.models.kept_vectors import kept_rates

    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    found = read_fit(opened.engine, _fit_of(opened))
    fit = Fit(found.id, found.model, found.revision, found.arrays)
    wanted = sorted(set(eps or EPS))
    clips, duplicates = 0, dict[float, int]()
    parts = embeddings_in_order(opened.engine, opened.dataset.id)
    with Counter(session.console, "clips compared") as counter:
        for clips, found_so_far in kept_rates(parts, fit, wanted):
            counter.show(clips)
            duplicates = found_so_far
    if not clips:
        raise NothingEmbedded(name=opened.name, which=f" by {fit.model} {fit.revision}")
    rows = [
        {"eps": e, "duplicates": duplicates[e], "clips": clips, "share": duplicates[e] / clips}
        for e in wanted
    ]
    shown = [row | {"share": percent(float(row["share"]))} for row in rows]
    emit(rows if as_json else shown, as_json)
    session.next(("concepts", "dedup", opened.name, "--eps", str(usual_eps(fit.model))))


@concepts.command()
def dedup(
    ctx: typer.Context,
    dataset: DatasetName = None,
    eps: OneEps = None,
    as_json: Json = False,
) -> None:
    """Let the stage semantic_dedup drop clips that look like an earlier one.

    The stage, and a filter behind it, join the pipeline where it has none. Clips that are through
    with it are compared once more.

    Example:
      curate concepts dedup videos --eps 0.05
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    fit = read_fit(opened.engine, _fit_of(opened))
    eps = usual_eps(fit.model) if eps is None else eps
    stage = SemanticDedup.name
    if stage in opened.pipeline.by_name:
        redo_stage(session, opened, RedoRequest(stage, sets=[f"{stage}.eps={eps}"]), as_json)
        return
    drops = {"filter": "unlike", "where": "semantic_duplicate = 0"}
    pipeline = with_steps(opened, [{"stage": stage, "eps": eps}, drops])
    redo_stage(session, opened, RedoRequest(stage, pipeline=pipeline), as_json)
