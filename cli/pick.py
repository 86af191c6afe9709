"""`curate pick`: single clips kept or dropped by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli.shared.clip_ids import clip_ids
from curate.cli.shared.options import Json, OfDataset
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.shown import counted
from curate.db.picks import pick_clips
from curate.db.reports.counts import count_unfinished
from curate.db.schema import DROP, KEEP
from curate.worker.session.database import open_dataset

pick = typer.Typer(
    no_args_is_help=True, help="Keep or drop single clips by hand, whatever the filters say."
)

MOST_TOLD = 5  # originals

Clips = Annotated[
    list[str] | None, typer.Argument(metavar="CLIP", help="Ids of clips.", show_default=False)
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="A file of ids: one a line, or a table with a column clip_id or id; - is stdin.",
    ),
]


@pick.command()
def keep(
    ctx: typer.Context,
    clips: Clips = None,
    source: From = None,
    dataset: OfDataset = None,
    as_json: Json = False,
) -> None:
    """Keep clips: they pass every filter, come back if one dropped them, and go on through their \
stages.

    A duplicate is kept beside its original.

    Example:
      curate pick keep 17 23
      curate pick keep --from good.csv
    """
    _pick(Session.of(ctx), (clips or [], source), dataset, KEEP, as_json)


@pick.command()
def drop(
    ctx: typer.Context,
    clips: Clips = None,
    source: From = None,
    dataset: OfDataset = None,
    as_json: Json = False,
) -> None:
    """Drop clips, with the reason `picked`.

    The earliest remaining duplicate of a dropped clip takes its place.

    Example:
      curate pick drop 17
      curate pick drop --from bad.csv --dataset pets
    """
    _pick(Session.of(ctx), (clips or [], source), dataset, DROP, as_json)


@pick.command()
def undo(
    ctx: typer.Context,
    clips: Clips = None,
    source: From = None,
    dataset: OfDataset = None,
    as_json: Json = False,
) -> None:
    """Undo picks: the filters decide again.

    Example:
      curate pick undo 17 23
    """
    _pick(Session.of(ctx), (clips or [], source), dataset, None, as_json)


def _pick(
    session: Session,
    ids: tuple[list[str], str | None],
    dataset: str | None,
    picked: str | None,
    as_json: bool,
) -> None:
    opened = open_dataset(session, dataset)
    done = pick_clips(opened.engine, opened.dataset, opened.pipeline, picked, clip_ids(*ids))
    left = count_unfinished(opened.engine, opened.dataset.id)
    if as_json:
        originals = [{"clip": new, "instead_of": old} for new, old in done.originals]
        emit_json({
            "dataset": opened.name, "picked": picked, "clips": done.clips,
            "changed": done.changed, "come_back": done.come_back, "dropped": done.dropped,
            "at_work": done.at_work, "originals": originals, "unfinished": left,
        })  # fmt: skip
    else:
        what = f"picked to {picked}" if picked else "no longer picked"
        print(
            f"dataset {opened.name}: {counted(done.clips, 'clip')} {what};"
            f" {done.come_back} come back, {done.dropped} dropped"
        )
    if done.changed < done.clips:
        unchanged = done.clips - done.changed
        were = "was" if unchanged == 1 else "were"
        so = f"already picked to {picked}" if picked else "not picked before"
        session.console.say(f"{counted(unchanged, 'clip')} {were} {so}")
    if done.at_work:
        session.console.say(
            f"{counted(done.at_work, 'clip')} at work: their pick takes effect when they are saved"
        )
    for new, old in done.originals[:MOST_TOLD]:
        session.console.say(f"clip {new} takes the place of its copy {old} as the original")
    if more := done.originals[MOST_TOLD:]:
        session.console.say(f"and {len(more)} more; --json lists them all")
    if left:
        session.console.say(f"with stages to go through: {counted(left, 'row')}")
    session.next(("resume" if left else "export", opened.name, "-o", "clips.csv"))
