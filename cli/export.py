"""`curate export`: the clips of datasets, as a table, a folder or shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import typer
from sqlalchemy import Engine

import curate
from curate.cli.shared.export_options import (
    Balance,
    CheckUrls,
    Datasets,
    DryRun,
    Files,
    HoldOut,
    Limit,
    OfFolder,
    OfMissing,
    Resplit,
    SafeCells,
    Sample,
    ShardBytes,
    ShardClips,
    Share,
    Shuffle,
    Split,
    Statuses,
    Target,
    Thumbnails,
    To,
    check_together,
    request_of,
    shares_of,
    way_of,
)
from curate.cli.shared.exports import (
    ExportRequest,
    export_clips,
    plan_export,
    shown_with_total,
    tell_balance,
    warn_of_files,
)
from curate.cli.shared.funnel import warn_of_refilter
from curate.cli.shared.options import Columns, Json, Sort, Where
from curate.cli.shared.output import Counter, emit
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.schema import StageOptions
from curate.configs.shown import bytes_text, counted
from curate.db.balance import held_values
from curate.db.export import Exported, groups_of, rows_of
from curate.db.reports.counts import count_unfinished
from curate.db.selection import TRAIN, VAL
from curate.db.sides import assign_sides, forget_sides
from curate.export.folder import FolderExport, Side, Written
from curate.export.format import NEEDED, MediaFormat, Way
from curate.export.registry import format_of
from curate.tasks.concept import Concept
from curate.tasks.cut import Cut
from curate.tasks.inputs.paths import to_path
from curate.worker.session.database import OpenDataset, open_dataset


def export(
    ctx: typer.Context,
    datasets: Datasets = None,
    to: To = None,
    output: Target = None,
    where: Where = "",
    columns: Columns = None,
    sort: Sort = None,
    limit: Limit = None,
    shuffle: Shuffle = None,
    sample: Sample = None,
    share: Share = None,
    split: Split = None,
    resplit: Resplit = False,
    hold_out: HoldOut = None,
    balance: Balance = None,
    files: Files = None,
    metadata: OfFolder = "parquet",
    shard_clips: ShardClips = 10_000,
    shard_bytes: ShardBytes = "1G",
    thumbnails: Thumbnails = False,
    status: Statuses = None,
    safe_cells: SafeCells = False,
    missing: OfMissing = "drop",
    check_urls: CheckUrls = False,
    dry_run: DryRun = False,
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
      curate export --to webdataset -o shards/ --split train=0.98,val=0.02
      curate export pets cars --to videofolder -o both/ --sample 1000 -n
    """
    session = Session.of(ctx)
    format = format_of(to, output)
    request, way, shares = request_of(format, ctx.params), way_of(ctx.params), shares_of(split)
    shares = dict.fromkeys((TRAIN, VAL), 0.0) if hold_out else shares
    check_together(format, request, ctx.params)
    opened = [open_dataset(session, name or None) for name in dict.fromkeys(datasets or [""])]
    if len(opened) > 1 and Concept.name in (request.more.balance, request.more.hold_out):
        raise UsageError(what="concepts of two datasets are not the same; export one at a time")
    if thumbnails:
        way = replace(way, samples=session.settings.samples)
    job = ExportJob(session, opened, request, shares, dry_run, as_json, resplit)
    if isinstance(format, MediaFormat):
        job.write_media(format, way, output or "")
    else:
        job.write_table()
    job.warn_of_rows()


# how clips that a format cannot hold get what they lack
_MEND = {
    "have no caption": "; get one from a table with `curate captions load TABLE DATASET`, or from "
    "a captioner (docs/captions.md)",
}


@dataclass
class ExportJob:
    """One export; `shares` of the sides of a split, or none."""

    session: Session
    opened: Sequence[OpenDataset]
    request: ExportRequest
    shares: dict[str, float]
    dry_run: bool
    as_json: bool
    resplit: bool = False

    def write_table(self) -> None:
        """Write a table, or count what it would hold."""
        first, *others = self.opened
        request = self._with_sides()
        if not self.dry_run:
            export_clips(self.session, first, request, others)
            return
        exported, size = Exported(()), 0
        plan = plan_export(first, request, others, ("path",))
        tell_balance(self.session, plan)
        with rows_of(first.engine, plan, to_path, exported) as rows:
            for row in rows:
                size += row.size or 0
        self._show([{"clips": exported.rows, "bytes": size}])
        warn_of_files(self.session, first, request.missing, exported)

    def write_media(self, format: MediaFormat, way: Way, target: str) -> None:
        """Write clips with their files, or count them."""
        first, *others = self.opened
        request = self._with_sides()
        usual = format.columns == "usual" or bool(request.columns)
        request = request if usual else replace(request, columns=("clip_id",))
        sides = []
        in_folders = request.more.split and not format.file
        for name in self.shares if in_folders else [""]:
            on_it = replace(request, more=replace(request.more, side=name or None))
            also = (*NEEDED, *format.needs(way))
            sides.append(Side(name, plan_export(first, on_it, others, also)))
        plans = [side.plan for side in sides]
        tell_balance(self.session, plans[0])
        way = replace(way, names=plans[0].names if usual else (), kinds=plans[0].kinds)
        if not format.needs_file:  # whether the clips' files are there does not matter
            for side in sides:
                side.plan = replace(side.plan, check=None)
            way = replace(way, cuts=_cut_options(self.opened))
        format.check(way)
        # all that decides what the export holds, besides the rows
        asked_for = asdict(replace(request.selection, columns=tuple(way.names)))
        asked_for |= {name: list(v) for name, v in asked_for.items() if isinstance(v, tuple)}
        asked_for |= {
            "to": format.name,
            "datasets": [each.name for each in self.opened],
            "split": self.shares,
            "options": [way.files, way.metadata, way.shard_clips, way.shard_bytes],
            "thumbnails": way.samples is not None,
            "cuts": dict(way.cuts),
            "curate": curate.__version__,
        }
        what = "clips proved" if format.file else "clips written"
        with Counter(self.session.console, what) as counter:
            report = shown_with_total(counter, first.engine, plans)
            job = FolderExport(first.engine, format, way, sides, asked_for, report)
            written = job.count() if self.dry_run else job.write(target)
        self._tell(format, written, target)
        warn_of_files(self.session, first, request.missing, written.rows)

    def _tell(self, format: MediaFormat, written: Written, target: str) -> None:
        console = self.session.console
        rows = []
        state = "already whole in" if written.nothing_new else "written to"
        for name, count in written.clips.items():
            size, parts = written.bytes[name], written.parts[name]
            shown: dict[str, Any] = {"side": name} if name else {}
            shards = {"shards": parts} if format.shards else {}
            of_files = {} if format.file else {"bytes": size}
            rows.append({**shown, "clips": count, **of_files, **shards})
            where = f"{target.rstrip('/')}/{name}" if name else target
            if self.dry_run:
                continue
            if name and not count:
                console.warn(f"side {name} has no clip, so there is no {where}")
            else:
                of = f" in {counted(parts, 'shard')}" if format.shards else ""
                weight = "" if format.file else f" ({bytes_text(size)})"
                console.say(f"{counted(count, 'clip')}{weight}{of} {state} {where}")
        if self.dry_run:
            self._show(rows)
        for why, count in sorted(written.left.items()):
            console.warn(f"{counted(count, 'clip')} left out: they {why}{_MEND.get(why, '')}")
        for what, count in sorted(written.remarks.items()):
            console.warn(f"{counted(count, 'clip')}: they {what}")

    def warn_of_rows(self) -> None:
        """Say which datasets are not through yet, or are being refiltered."""
        for each in self.opened:
            self.session.dataset = each.name
            warn_of_refilter(self.session, each)
            left = count_unfinished(each.engine, each.dataset.id)
            if left:
                go_on = f"go on with: {self.session.command('resume', each.name)}"
                self.session.console.warn(f"{left} rows are not through yet; {go_on}")

    def _with_sides(self) -> ExportRequest:
        """The request about clips that have a side, once they have; without --split, as it is."""
        if not self.shares:
            return self.request
        first = self.opened[0]
        chosen = [(each.dataset.id, each.pipeline) for each in self.opened]
        if self.request.more.hold_out:
            return self._held_out(first.engine, chosen)
        plan_export(first, self.request, self.opened[1:])  # what is wrong is told before
        if self.resplit:
            forget_sides(first.engine, [each.dataset.id for each in self.opened])
        selection, console = self.request.selection, self.session.console
        found = assign_sides(first.engine, chosen, selection, self.shares, not self.dry_run)
        for name in self.shares:
            new = f", {found.new[name]} of them new" if found.new[name] else ""
            of = counted(found.sources[name], "source")
            console.say(f"side {name}: {counted(found.clips[name], 'clip')} of {of}{new}")
        if found.left_out:
            console.warn(
                f"{counted(found.left_out, 'clip')} left out: copies of clips on another "
                "side than that of their own source"
            )
        if self.dry_run:
            return self.request
        return replace(self.request, more=replace(self.request.more, split=True))

    def _held_out(self, engine: Engine, chosen: Sequence[tuple[int, Pipeline]]) -> ExportRequest:
        """The request with the groups that are held out. Raises UsageError."""
        more = self.request.more
        counts = groups_of(engine, chosen, self.request.selection, more.hold_out)
        if more.hold_out_groups >= len(counts):
            there = f"there are {len(counts)} groups by {more.hold_out}"
            raise UsageError(what=f"--hold-out {more.hold_out}={more.hold_out_groups}: {there}")
        held = held_values(counts, more.hold_out_groups, more.seed)
        on_val = sum(counts[value] for value in held)
        clips = {"train": sum(counts.values()) - on_val, "val": on_val}
        groups = {"train": len(counts) - len(held), "val": len(held)}
        for name in (TRAIN, VAL):
            of = counted(groups[name], "group")
            self.session.console.say(f"side {name}: {counted(clips[name], 'clip')} of {of}")
        return replace(self.request, more=replace(more, held=held, split=True))

    def _show(self, rows: list[dict[str, Any]]) -> None:
        if not self.as_json:
            rows = [row | {k: bytes_text(row[k]) for k in ("bytes",) if k in row} for row in rows]
        emit(rows, self.as_json)


def _cut_options(opened: Sequence[OpenDataset]) -> dict[str, str]:
    """The options by which clips were cut, as JSON, by dataset; without those about batches."""
    batches = {*StageOptions.model_fields, "batch_size", "time_limit"}
    return {
        each.name: step.options.model_dump_json(exclude=batches)
        for each in opened
        for step in each.pipeline.stages
        if step.name == Cut.name
    }
