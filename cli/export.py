"""`curate export`: the clips of datasets, as a table, a folder or shards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import typer

import curate
from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.exports import (
    ExportRequest,
    Missing,
    export_clips,
    plan_export,
    shown_with_total,
    warn_of_files,
)
from curate.cli.shared.funnel import warn_of_refilter
from curate.cli.shared.options import Columns, Json, Sort, Where, dataset_names
from curate.cli.shared.output import Counter, bytes_text, counted, emit
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.export import Exported, Selection, rows_of
from curate.db.reports.counts import count_unfinished
from curate.db.sides import Sides, assign_sides, forget_sides
from curate.export.files import Placing
from curate.export.folder import FolderExport, Side, Written
from curate.export.format import NEEDED, Format, MediaFormat, TableFormat, Way
from curate.export.registry import FORMATS, format_of
from curate.export.tables import check_target
from curate.tasks.inputs.paths import is_url, to_path

STATUSES = ("kept", "dropped", "failed", "active")
Metadata = Literal["parquet", "jsonl", "csv"]
_BYTES = re.compile(r"(\d+)\s*([kMGT]?)B?", re.IGNORECASE)
_SIDE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=([0-9.]+)")
_UNITS = ("", "k", "m", "g", "t")
_MEDIA = "What --to {} writes is a folder; name it: -o FOLDER"


def export(
    ctx: typer.Context,
    datasets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATASET]...",
            help="Datasets; the newest if left out.",
            autocompletion=dataset_names,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help=f"{', '.join(FORMATS)}; by the ending of -o if left out.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File, folder or URL to write; - is stdout."
        ),
    ] = None,
    where: Where = "",
    columns: Columns = None,
    sort: Sort = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=0, help="Only the first so many clips.")
    ] = None,
    shuffle: Annotated[
        int | None,
        typer.Option(
            "--shuffle",
            metavar="SEED",
            help="Random order, the same for the same number; the seed of --sample, --share too.",
        ),
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=0, help="So many clips at random.")
    ] = None,
    share: Annotated[
        float | None, typer.Option("--share", min=0, max=1, help="A share of them at random: 0.1.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="train=0.98,val=0.02",
            help="Sides by source video, copies together; a clip keeps its side for good.",
        ),
    ] = None,
    resplit: Annotated[
        bool, typer.Option("--resplit", help="Forget the sides of before; decide anew.")
    ] = False,
    files: Annotated[
        str | None,
        typer.Option("--files", help="link clips into the folder (the default), copy, or none."),
    ] = None,
    metadata: Annotated[
        str, typer.Option("--metadata", help="Of a videofolder: parquet, jsonl or csv.")
    ] = "parquet",
    shard_clips: Annotated[
        int, typer.Option("--shard-clips", min=1, help="Clips in a shard at most.")
    ] = 10_000,
    shard_bytes: Annotated[
        str, typer.Option("--shard-bytes", metavar="SIZE", help="Bytes in a shard at most: 1G.")
    ] = "1G",
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status", help="kept (the default), dropped, failed, active or all; repeatable."
        ),
    ] = None,
    safe_cells: Annotated[
        bool,
        typer.Option(
            "--safe-cells", help="Put ' before text that a spreadsheet takes for a formula."
        ),
    ] = False,
    missing: Annotated[
        str,
        typer.Option(
            "--missing",
            help="What becomes of clips whose file is missing or of another size: drop, keep, or "
            "fail, which writes nothing.",
        ),
    ] = "drop",
    check_urls: Annotated[
        bool, typer.Option("--check-urls", help="Look at files at URLs too, by a request each.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Count clips and bytes; write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the clips of datasets as a table, or with their files as what a trainer reads.

    Tables go to a file or to stdout, folders and shards are made by --to. What is written appears
    when it is whole; a folder that was interrupted goes on by the same command. The path of a clip
    that was not cut is that of its video. A clip whose file is missing or has another size than it
    was written with is left out, and counted, and so is one that a format cannot hold.

    Example:
      curate export -o clips.parquet --where 'flow >= 0.5' --sort 'flow desc'
      curate export --columns path,start_seconds,end_seconds > spans.csv
      curate export -o for_people.csv --safe-cells
      curate export --to webdataset -o shards/ --split train=0.98,val=0.02
      curate export pets cars --to videofolder -o both/ --sample 1000 -n
    """
    session = Session.of(ctx)
    statuses = status or ["kept"]
    wrong = [s for s in statuses if s not in (*STATUSES, "all")]
    if wrong:
        raise UsageError(what=f"--status {wrong[0]}: it is one of {', '.join(STATUSES)}, all")
    _check_word("--missing", missing, get_args(Missing))
    _check_word("--metadata", metadata, get_args(Metadata))
    _check_word("--files", files or "link", get_args(Placing))
    form = format_of(to, output)
    request = ExportRequest(
        None if output in (None, "-") else Path(output or ""),
        where,
        columns or (),
        sort or (),
        STATUSES if "all" in statuses else statuses,
        safe_cells,
        cast(Missing, missing),
        check_urls,
        Selection(
            limit=limit,
            shuffle=shuffle is not None,
            seed=shuffle or 0,
            sample=sample,
            share=share,
        ),
        form if isinstance(form, TableFormat) else None,
    )
    way = Way(
        (),
        {},
        cast(Placing, files or "link"),
        cast(Metadata, metadata),
        shard_clips,
        _bytes_of(shard_bytes),
    )
    shares = _shares(split) if split else {}
    _check_target(form, output, request, files)
    opened = [open_dataset(session, name or None) for name in dict.fromkeys(datasets or [""])]
    job = _Job(session, opened, request, shares, dry_run, as_json)
    if resplit and not dry_run:
        forget_sides(opened[0].engine, [each.dataset.id for each in opened])
    if isinstance(form, MediaFormat):
        job.write_media(form, way, output or "")
    else:
        job.write_table()
    for each in opened:
        session.dataset = each.name
        warn_of_refilter(session, each)
        left = count_unfinished(each.engine, each.dataset.id)
        if left:
            go_on = f"go on with: {session.command('resume', each.name)}"
            session.console.warn(f"{left} rows are not through yet; {go_on}")


@dataclass
class _Job:
    """One export."""

    session: Session
    opened: Sequence[OpenDataset]
    request: ExportRequest
    shares: dict[str, float]
    dry_run: bool
    as_json: bool

    def write_table(self) -> None:
        """Write a table, or count what it would hold."""
        first, *others = self.opened
        request = self._with_sides()
        if not self.dry_run:
            export_clips(self.session, first, request, others)
            return
        exported, size = Exported(()), 0
        plan = plan_export(first, request, others, ("path",))
        with rows_of(first.engine, plan, to_path, exported) as rows:
            count = 0
            for row in rows:
                count, size = count + 1, size + (row.size or 0)
        self._show([{"clips": count, "bytes": size}])
        warn_of_files(self.session, first, request.missing, exported)

    def write_media(self, form: MediaFormat, way: Way, target: str) -> None:
        """Write clips with their files, or count them."""
        first, *others = self.opened
        request = self._with_sides()
        asked = bool(request.selection.columns)
        if form.columns != "usual" and not asked:
            request = replace(request, columns=("clip_id",))
        names = list(self.shares) if request.more.split else [""]
        plans = [
            plan_export(
                first,
                replace(request, more=replace(request.more, side=name or None)),
                others,
                NEEDED,
            )
            for name in names
        ]
        written_names = plans[0].names if asked or form.columns == "usual" else ()
        way = replace(way, names=written_names, kinds=plans[0].kinds)
        form.check(way)
        sides = [Side(name, plan) for name, plan in zip(names, plans, strict=True)]
        with Counter(self.session.console, "clips written") as counter:
            report = shown_with_total(counter, first.engine, plans)
            asked_for = self._asked_for(form, way, request)
            job = FolderExport(first.engine, form, way, sides, asked_for, report)
            written = job.count() if self.dry_run else job.write(target)
        if self.dry_run:
            self._show(
                [
                    ({"side": name} if name else {})
                    | {"clips": written.clips[name], "bytes": written.bytes[name]}
                    | ({"shards": written.parts[name]} if form.shards else {})
                    for name in names
                ]
            )
        else:
            self._say_written(form, written, target)
        for why, count in sorted(written.left.items()):
            self.session.console.warn(f"{counted(count, 'clip')} left out: they {why}")
        warn_of_files(self.session, first, request.missing, written.rows)

    def _say_written(self, form: MediaFormat, written: Written, target: str) -> None:
        state = "lie whole already in" if written.nothing_new else "written to"
        for name, count in written.clips.items():
            where = f"{target.rstrip('/')}/{name}" if name else target
            shards = f" in {counted(written.parts[name], 'shard')}" if form.shards else ""
            size = bytes_text(written.bytes[name])
            if name and not count:
                self.session.console.warn(f"side {name} has no clip, so there is no {where}")
            else:
                said = f"{counted(count, 'clip')} ({size}){shards} {state} {where}"
                self.session.console.say(said)

    def _asked_for(self, form: MediaFormat, way: Way, request: ExportRequest) -> dict[str, Any]:
        """All that decides what an export holds, besides the rows."""
        options: dict[str, Any] = {"metadata": way.metadata} if form.name == "videofolder" else {}
        options |= {"files": way.files} if form.placings else {}
        if form.shards:
            options |= {"shard_clips": way.shard_clips, "shard_bytes": way.shard_bytes}
        selection = asdict(request.selection)
        datasets = [each.dataset.name for each in self.opened]
        made = {"to": form.name, "datasets": datasets, "curate": curate.__version__}
        columns = {"columns": list(way.names), "statuses": list(selection["statuses"])}
        return made | selection | columns | options | {"split": self.shares}

    def _with_sides(self) -> ExportRequest:
        """The request about clips that have a side, once they have; without --split, as it is."""
        if not self.shares:
            return self.request
        first = self.opened[0]
        chosen = [(each.dataset.id, each.pipeline) for each in self.opened]
        plan_export(first, self.request, self.opened[1:])  # what is wrong is told before
        found = assign_sides(
            first.engine, chosen, self.request.selection, self.shares, store=not self.dry_run
        )
        self._say_sides(found)
        if self.dry_run:
            return self.request
        return replace(self.request, more=replace(self.request.more, split=True))

    def _say_sides(self, found: Sides) -> None:
        for name in self.shares:
            new = f", {found.new[name]} of them new" if found.new[name] else ""
            of = counted(found.sources[name], "source")
            count = counted(found.clips[name], "clip")
            self.session.console.say(f"side {name}: {count} of {of}{new}")
        if found.left_out:
            self.session.console.warn(
                f"{counted(found.left_out, 'clip')} left out: they are copies of clips on another "
                "side than that of their own source"
            )

    def _show(self, rows: list[dict[str, Any]]) -> None:
        if not self.as_json:
            rows = [row | {"bytes": bytes_text(row["bytes"])} for row in rows]
        emit(rows, self.as_json)


def _check_word(option: str, word: str, words: Sequence[str]) -> None:
    if word not in words:
        raise UsageError(what=f"{option} {word}: it is one of {', '.join(words)}")


def _check_target(
    form: Format, output: str | None, request: ExportRequest, files: str | None
) -> None:
    """Raise UsageError or ServiceError for options that do not go together, before the work."""
    if isinstance(form, TableFormat):
        if files:
            raise UsageError(
                what=f"--files is about folders; {form.name} names clips where they are"
            )
        if request.safe_cells and form.name != "csv":
            raise UsageError(what=f"--safe-cells is for CSV, not {form.name}; leave it out")
        check_target(request.output, request.safe_cells, form)
        return
    assert isinstance(form, MediaFormat)
    if output in (None, "-"):
        raise UsageError(what=_MEDIA.format(form.name))
    if is_url(output or "") and not form.to_urls:
        raise UsageError(what=f"{form.name} is written to a folder, not to {output}")
    if Path(output or "").is_file():
        raise UsageError(what=f"{output} is a file. " + _MEDIA.format(form.name))
    if files and files not in form.placings:
        takes = f"it takes {', '.join(form.placings)}" if form.placings else "shards hold the clips"
        raise UsageError(what=f"--files {files} does not go with --to {form.name}: {takes}")
    if form.columns == "none" and request.columns:
        raise UsageError(what=f"{form.name} has no place for --columns; leave them out")
    if request.safe_cells:
        raise UsageError(what=f"--safe-cells is for CSV, not {form.name}; leave it out")
    if request.missing == "keep" and files != "none":
        raise UsageError(what=f"--missing keep: {form.name} holds the files; take drop or fail")


def _bytes_of(text: str) -> int:
    """The number of `500M`, `1G`. Raises UsageError."""
    found = _BYTES.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise UsageError(what=f"--shard-bytes {text}: write a size such as 500M or 1G")
    return int(found[1]) * int(1000 ** _UNITS.index(found[2].lower()))


def _shares(text: str) -> dict[str, float]:
    """The shares of `train=0.98,val=0.02`, in that order. Raises UsageError."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        found = _SIDE.fullmatch(part.strip())
        if not found or found[1] in shares:
            raise UsageError(what=f"--split {text}: write it as train=0.98,val=0.02")
        try:
            shares[found[1]] = float(found[2])
        except ValueError:
            raise UsageError(what=f"--split {text}: {found[2]} is no number") from None
    if abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) <= 0:
        raise UsageError(what=f"--split {text}: the shares are above 0 and add up to 1")
    return shares
