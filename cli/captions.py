"""`curate captions`: captions by hand, and captioners compared."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.shared.by_hand import CLEAN, clips_by_hand
from curate.cli.shared.caption_votes import read_votes
from curate.cli.shared.comparison import Comparison, compare_pairs, votes_json
from curate.cli.shared.one_stage import find_step
from curate.cli.shared.options import DatasetName, Json, Where
from curate.cli.shared.output import Counter, emit, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import BadTable, NoSuchFile, ServiceError, UsageError
from curate.configs.schema import RUNNING
from curate.configs.shown import counted, formatted
from curate.db.caption_pairs import CaptionPair, PairQuery, captioners, pairs
from curate.db.captions import TableCaption
from curate.db.captions import drop as drop_captions
from curate.db.captions import load as load_captions
from curate.db.queue.chosen import waiting_ids
from curate.db.votes import VoteCounts, count_votes, save_votes, votes_on
from curate.export.tables import whole
from curate.tasks.inputs.extensions import TABLE_EXTENSIONS, extension
from curate.tasks.inputs.tables import as_input, read_rows
from curate.tasks.text.captions import HAND
from curate.worker.session.database import OpenDataset, open_dataset

if TYPE_CHECKING:
    from curate.worker.batch_files import BatchFiles

captions = typer.Typer(no_args_is_help=True, help="Captions from outside, and comparisons.")

OfStage = Annotated[
    str | None, typer.Option("--stage", metavar="STAGE", help="Where several ask servers: which.")
]

LEAST_ALIKE = 5  # clips shown
LONGEST_LINE = 8 << 20  # letters of an answer; a longer line is none, and is not read whole
SHORT = 200  # letters of their texts


@captions.command()
def load(
    ctx: typer.Context,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="CSV or Parquet with text, and path or clip_id.")
    ],
    dataset: DatasetName = None,
    as_json: Json = False,
) -> None:
    """Take captions from a table, such as an exported one with mended texts; they go before all \
others.

    A row is about the clip of its column clip_id or, without one, about that whose file or video
    has its path. One that holds what is the clip's text already is passed over. What models have
    written stays in the table captions.

    Example:
      curate captions load mended.csv
    """
    session = Session.of(ctx)
    if extension(dataset or "") in TABLE_EXTENSIONS and extension(table) not in TABLE_EXTENSIONS:
        right = f"curate captions load {shlex.join([str(dataset), table])}"
        raise UsageError(what=f"the table comes before the dataset: `{right}`")
    opened = open_dataset(session, dataset)
    done = load_captions(opened.engine, opened.dataset.id, _read_captions(table), HAND)
    if as_json:
        emit_json({"dataset": opened.name, **asdict(done)})
    else:
        loaded = f"{counted(done.loaded, 'caption')} loaded, {done.unchanged} unchanged"
        print(f"dataset {opened.name}: {loaded}")
    if done.empty:
        session.console.warn(f"{counted(done.empty, 'row')} without a text passed over")
    if done.unknown:
        session.console.warn(
            f"{counted(done.unknown, 'row')} about no clip of {opened.name}, or about a video of"
            " several clips"
        )
    _suggest_reclean(session, opened, done.loaded)


@captions.command()
def drop(
    ctx: typer.Context, dataset: DatasetName = None, where: Where = "", as_json: Json = False
) -> None:
    """Take captions back that were loaded from a table; clips have another of their captions \
then, or none.

    Example:
      curate captions drop --where "text_len < 3"
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    dropped = drop_captions(opened.engine, clips_by_hand(opened, where), HAND)
    if as_json:
        emit_json({"dataset": opened.name, "dropped": dropped})
    else:
        print(f"dataset {opened.name}: {counted(dropped, 'caption')} dropped")
    _suggest_reclean(session, opened, dropped, dropped=True)


@captions.command()
def compare(
    ctx: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="A captioner, such as openai.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    dataset: DatasetName = None,
    where: Where = "",
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page to vote on the captions.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=2000, help="Pairs in the page.")] = 100,
    seed: Annotated[int, typer.Option(help="Another number chooses other pairs.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare the captions of two captioners: lengths, match, agreement, and people's votes.

    Only clips that both captioned count, each with its newest caption by either. Agreement is
    the share of words that both texts have; 1: the same words. The page shows pictures and both
    texts without names, opens without a server, and saves votes.json for curate captions vote.

    Example:
      curate captions compare qwen2_5_vl openai videos
      curate captions compare qwen2_5_vl openai videos --sheet votes.html
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    known = captioners(opened.engine, opened.dataset.id)
    theirs = ", ".join(known) or "none"
    if a == b:
        raise UsageError(what=f"{a} twice; name two captioners of {opened.name}: {theirs}")
    for name in (a, b):
        if name not in known:
            what = f"nobody called {name} captioned clips of {opened.name}; captioners: {theirs}"
            raise UsageError(what=what)
    columns = opened.pipeline.columns()
    asked = PairQuery(opened.dataset.id, a, b, where, columns)
    with Counter(session.console, "pairs compared") as counter:
        found = compare_pairs(pairs(opened.engine, asked), counter.show, LEAST_ALIKE)
    votes = votes_on(opened.engine, opened.dataset.id, a, b)
    if as_json:
        emit_json(
            {"dataset": opened.name, "a": a, "b": b, **found.as_json(), "votes": votes_json(votes)}
        )
    else:
        _print_comparison(opened, (a, b), found, votes)
    if sheet is not None and found.pairs:
        chosen = list(pairs(opened.engine, asked, seed=str(seed), most=limit))
        _write_sheet(session, opened, chosen, seed, sheet)


def _write_sheet(
    session: Session, opened: OpenDataset, chosen: Sequence[CaptionPair], seed: int, file: Path
) -> None:
    """Write the page to vote on. Raises ServiceError."""
    # these load NumPy and OpenCV
    from curate.view.media import samples_in
    from curate.view.vote_sheet import Sheet, write_sheet

    samples = partial(samples_in, opened.engine, session.settings)
    try:
        with Counter(session.console, "pairs written") as counter:
            write_sheet(Sheet(opened.name, chosen, seed), samples, file, counter.show)
    except OSError as error:
        raise ServiceError(what=f"The file {file}", why=error.strerror or error) from None
    session.console.say(f"{file}: {counted(len(chosen), 'pair')}; open it in a browser")
    session.next(("captions", "vote", "votes.json", opened.name))


@captions.command()
def vote(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="votes.json, from the page.")],
    dataset: DatasetName = None,
    as_json: Json = False,
) -> None:
    """Take in votes that the page of curate captions compare saved, and sum all of them.

    Votes by the same person on the same captions take the place of earlier ones. The interval is
    Wilson's, of 95 %, for the share of votes for A among those that prefer one.

    Example:
      curate captions vote votes.json videos
    """
    session = Session.of(ctx)
    of_dataset, voter, votes = read_votes(file)
    opened = open_dataset(session, dataset or of_dataset or None)
    saved = save_votes(opened.engine, opened.dataset.id, voter, votes)
    if saved < len(votes):
        gone = counted(len(votes) - saved, "vote")
        session.console.warn(f"{gone} on captions that are gone, or of no clip of {opened.name}")
    sums = [
        {"a": a, "b": b, **votes_json(counts)}
        for (a, b), counts in count_votes(opened.engine, opened.dataset.id).items()
    ]
    if as_json:
        emit_json({"dataset": opened.name, "voter": voter, "saved": saved, "sums": sums})
        return
    print(f"dataset {opened.name}: {counted(saved, 'vote')} by {formatted(voter)}")
    for one in sums:
        one["interval"] = "{:.2f} to {:.2f}".format(*one["interval"]) if one["interval"] else ""
    emit(sums, as_json=False)


@captions.command()
def export_requests(
    ctx: typer.Context,
    dataset: DatasetName = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="JSON Lines to write.")
    ] = Path("requests.jsonl"),
    stage: OfStage = None,
    where: Where = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Clips at most.")] = None,
    as_json: Json = False,
) -> None:
    """Write the requests of clips that wait for a server, for its batch API (OpenAI's format).

    Each is a line with custom_id, method, url and body. With the option offline of the stage,
    workers ask nothing meanwhile. What the service answers is taken by curate captions
    load-responses.

    Example:
      curate captions export-requests videos -o requests.jsonl
    """
    session = Session.of(ctx)
    opened, files = _batch_files(session, dataset, stage)
    name, columns = files.stage_name, opened.pipeline.columns()
    waiting = waiting_ids(opened.engine, opened.dataset.id, name, where, columns)
    ids, written = waiting[:limit], 0
    failures: dict[int, str] = {}
    try:
        with (
            Counter(session.console, "requests written") as counter,
            whole(output) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            for line in files.request_lines(ids, counter.show, failures):
                file.write(f"{line}\n")
                written += 1
        size = output.stat().st_size
    except OSError as error:
        raise ServiceError(what=f"The file {output}", why=error.strerror or error) from None
    if as_json:
        left = {"unreadable": len(failures), "waiting": len(waiting) - written}
        emit_json({"dataset": opened.name, "requests": written, "bytes": size, **left})
    else:
        print(f"dataset {opened.name}: {counted(written, 'request')} in {output}, {size:,} bytes")
    for clip, why in itertools.islice(failures.items(), 3):
        session.console.warn(f"clip {clip} has no request: {why}")
    if not files.offline and opened.dataset.state == RUNNING:
        offline = f"`curate set {name}.offline=true DATASET`"
        session.console.warn(f"workers may ask about these clips too; keep them from it: {offline}")
    if written:
        session.next(("captions", "load-responses", "responses.jsonl", opened.name))


@captions.command()
def load_responses(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The answers, JSON Lines.")],
    dataset: DatasetName = None,
    stage: OfStage = None,
    as_json: Json = False,
) -> None:
    """Take the answers of a batch API: captions, or failures with the reason.

    An answer counts for a clip that still waits for it, so a file may be loaded twice. Tokens and
    cost are added to what the dataset has spent.

    Example:
      curate captions load-responses responses.jsonl videos
    """
    session = Session.of(ctx)
    opened, files = _batch_files(session, dataset, stage)
    try:
        with (
            file.open(encoding="utf-8-sig", errors="replace") as lines,
            Counter(session.console, "answers read") as counter,
        ):
            parts = iter(partial(lines.readline, LONGEST_LINE), "")
            done = files.load(parts, file, counter.show)
    except FileNotFoundError:
        raise NoSuchFile(path=file, near="") from None
    except OSError as error:
        raise BadTable(source=file, why=error.strerror) from None
    if as_json:
        emit_json({"dataset": opened.name, **asdict(done)})
    else:
        cost = f", cost {done.spent.cost:.4f}" if done.spent.cost else ""
        taken = f"{counted(done.loaded, 'caption')} loaded, {done.failed} failed"
        print(f"dataset {opened.name}: {taken}, {done.not_waiting} not waiting{cost}")
    if done.outdated:
        which = counted(done.outdated, "answer")
        session.console.warn(f"{which} to requests of another dataset, or by other options")
    if done.unknown:
        session.console.warn(f"{counted(done.unknown, 'answer')} to requests that are not curate's")
    session.next(("resume", opened.name))


def _batch_files(
    session: Session, dataset: str | None, stage: str | None
) -> tuple[OpenDataset, BatchFiles]:
    """The dataset and the requests of a stage of it. Raises UsageError, ServiceError."""
    from curate.worker.batch_files import BatchFiles, server_steps

    opened = open_dataset(session, dataset)
    asking = server_steps(opened.pipeline)
    if not asking:
        raise UsageError(what=f"no stage of dataset {opened.name} asks a server")
    if stage is None and len(asking) > 1:
        raise UsageError(
            what=f"several stages ask servers: {', '.join(asking)}; say which: --stage"
        )
    step = find_step(opened, stage or asking[0])
    engine = opened.engine
    settings = session.settings
    return opened, BatchFiles(settings, engine, opened.dataset, opened.pipeline, step.name)


def _print_comparison(
    opened: OpenDataset, names: tuple[str, str], found: Comparison, votes: VoteCounts
) -> None:
    both = counted(found.pairs, "clip")
    print(f"dataset {opened.name}: {both} with captions by {names[0]} and {names[1]}")
    if not found.pairs:
        return
    sides = zip(names, (found.a, found.b), (votes.a, votes.b), strict=True)
    emit([{"captioner": n, **asdict(s), "votes": v} for n, s, v in sides], as_json=False)
    agreement = "not measured" if found.agreement is None else f"{found.agreement:.3f}"
    print(f"agreement: {agreement} on average; least alike:")
    for agreed, pair in found.least:
        print(f"clip {pair.clip}: {agreed:.3f}")
        for name, caption in zip(names, (pair.a, pair.b), strict=True):
            text = " ".join(caption.text.split())
            short = text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"
            print(f"  {name}: {formatted(short)}")
    if votes.interval:
        low, high = votes.interval
        share = f"{votes.share:.2f} of the votes that prefer one ({low:.2f} to {high:.2f})"
        print(f"{names[0]} has {share}; {votes.equal} alike, {votes.neither} neither")


def _suggest_reclean(
    session: Session, opened: OpenDataset, changed: int, dropped: bool = False
) -> None:
    """Say what makes texts of the captions that are there now."""
    clean = opened.pipeline.by_name.get(CLEAN)
    if not changed:
        return
    if clean is None:  # texts are what was loaded
        session.next(("export", opened.name, "-o", "clips.csv"))
        return
    redo = []
    rewritten = getattr(clean.options, "rewritten", "")
    if dropped and rewritten:
        session.console.say("what rewrite wrote of these captions stays until its redo")
        redo = [("redo", "rewrite", opened.name)]
    session.next(*redo, ("reclean", opened.name), ("resume", opened.name, "-o", "clips.csv"))


def _read_captions(table: str) -> Iterator[TableCaption]:
    """Clip or path, and text, of each row of a table. Raises NoInput, BadTable."""
    for position, row in read_rows(table, ("clip_id", "path")):
        if "text" not in row:
            raise BadTable(source=table, why="it has no column text")
        text = str(row["text"] or "").strip()
        if row.get("clip_id") is None:
            yield TableCaption(None, as_input(table, position, row).path, text)
        else:
            value = row["clip_id"]  # pandas makes 1.0 of 1 when another row has none
            try:
                number = float(value)
            except (ValueError, TypeError, OverflowError):
                number = float("nan")
            if not number.is_integer() or abs(number) >= 1 << 53:
                raise BadTable(
                    source=table, why=f"{position}: clip_id is {value!r}, not a whole number"
                )
            yield TableCaption(int(number), "", text)
