"""The options of `curate export`, and what their words mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import typer

from curate.cli.shared.exports import ExportRequest, Missing
from curate.cli.shared.options import dataset_names
from curate.configs.errors import UsageError
from curate.db.selection import STATUSES, Selection
from curate.export.files import Placing
from curate.export.format import Format, MediaFormat, TableFormat, Way
from curate.export.registry import FORMATS
from curate.export.tables import check_target
from curate.tasks.inputs.paths import is_url

Metadata = Literal["parquet", "jsonl", "csv"]
_BYTES = re.compile(r"(\d+)\s*([kMGT]?)B?", re.IGNORECASE)
_SIDE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(\d*\.?\d+)")
_BALANCE = re.compile(r"(\w+):(\d*\.?\d+)")
_HELD = re.compile(r"(\w+)=([1-9]\d*)")
_UNITS = ("", "k", "m", "g", "t")

Datasets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DATASET]...",
        help="Datasets; the newest if left out.",
        autocompletion=dataset_names,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}; by the ending of -o if left out.",
        autocompletion=lambda: [(name, format.reader) for name, format in FORMATS.items()],
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="File, folder or URL to write; - is stdout."
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=0, help="The first N clips only.")]
Shuffle = Annotated[
    int | None,
    typer.Option(
        "--shuffle",
        metavar="SEED",
        help="Random order, the same for the same number; the seed of --sample, --share too.",
    ),
]
Sample = Annotated[int | None, typer.Option("--sample", min=0, help="N clips at random.")]
Share = Annotated[
    float | None, typer.Option("--share", min=0, max=1, help="A share of them at random: 0.1.")
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="train=0.98,val=0.02",
        help="Sides by source video, copies together; a clip keeps its side for good.",
    ),
]
Resplit = Annotated[
    bool, typer.Option("--resplit", help="Forget the sides that clips have; decide anew.")
]
Balance = Annotated[
    str | None,
    typer.Option(
        "--balance",
        metavar="COLUMN:ALPHA",
        help="Groups, such as concept:0.5, by shares n^ALPHA: of --sample, or else as weights.",
    ),
]
HoldOut = Annotated[
    str | None,
    typer.Option(
        "--hold-out",
        metavar="COLUMN=N",
        help="N whole groups, such as concept=5, are the side val, the others train.",
    ),
]
Files = Annotated[
    str | None,
    typer.Option("--files", help="link clips into the folder (the default), copy, or none."),
]
OfFolder = Annotated[
    str, typer.Option("--metadata", help="Of a videofolder: parquet, jsonl or csv.")
]
ShardClips = Annotated[int, typer.Option("--shard-clips", min=1, help="Clips in a shard at most.")]
ShardBytes = Annotated[
    str, typer.Option("--shard-bytes", metavar="SIZE", help="Bytes in a shard at most.")
]
Thumbnails = Annotated[
    bool, typer.Option("--thumbnails", help="Of webdataset: a picture of each clip, KEY.jpg.")
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status", help="kept (the default), dropped, failed, active or all; repeatable."
    ),
]
SafeCells = Annotated[
    bool,
    typer.Option("--safe-cells", help="Put ' before text that a spreadsheet takes for a formula."),
]
OfMissing = Annotated[
    str,
    typer.Option(
        "--missing",
        help="What becomes of clips whose file is missing or of another size: drop, keep, or "
        "fail, which writes nothing.",
    ),
]
CheckUrls = Annotated[
    bool, typer.Option("--check-urls", help="Look at files at URLs too, by a request each.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Count clips and bytes; write nothing.")
]


def request_of(format: Format, options: Mapping[str, Any]) -> ExportRequest:
    """What the options ask for, by their names in the command. Raises UsageError."""
    statuses = options["status"] or ["kept"]
    wrong = [s for s in statuses if s not in (*STATUSES, "all")]
    if wrong:
        raise UsageError(what=f"--status {wrong[0]}: it is one of {', '.join(STATUSES)}, all")
    one_of("--missing", options["missing"], get_args(Missing))
    output, seed = options["output"], options["shuffle"]
    return ExportRequest(
        None if output in (None, "-") else Path(output),
        options["where"],
        options["columns"] or (),
        options["sort"] or (),
        STATUSES if "all" in statuses else statuses,
        options["safe_cells"],
        cast(Missing, options["missing"]),
        options["check_urls"],
        Selection(
            limit=options["limit"],
            shuffle=seed is not None,
            seed=seed or 0,
            sample=options["sample"],
            share=options["share"],
            **groups_asked_for(options),
        ),
        format if isinstance(format, TableFormat) else None,
    )


def groups_asked_for(options: Mapping[str, Any]) -> dict[str, Any]:
    """What --balance and --hold-out ask for, as parts of a selection. Raises UsageError."""
    parts: dict[str, Any] = {}
    if text := options["balance"]:
        found = _BALANCE.fullmatch(text)
        if not found or not 0 <= float(found[2]) <= 1:
            raise UsageError(what=f"--balance {text}: write it as concept:0.5, ALPHA from 0 to 1")
        parts |= {"balance": found[1], "alpha": float(found[2])}
    if text := options["hold_out"]:
        held = _HELD.fullmatch(text)
        if not held:
            raise UsageError(what=f"--hold-out {text}: write it as concept=5")
        if options["split"]:
            raise UsageError(what="--hold-out makes the sides itself; leave out --split")
        parts |= {"hold_out": held[1], "hold_out_groups": int(held[2])}
    return parts


def way_of(options: Mapping[str, Any]) -> Way:
    """How folders and shards are written, as yet without columns. Raises UsageError."""
    files = one_of("--files", options["files"] or "link", get_args(Placing))
    metadata = one_of("--metadata", options["metadata"], get_args(Metadata))
    size = bytes_of(options["shard_bytes"])
    placing = cast(Placing, files)
    return Way((), {}, placing, cast(Metadata, metadata), options["shard_clips"], size)


def one_of(option: str, word: str, words: Sequence[str]) -> str:
    """The word. Raises UsageError for one that is none of the words."""
    if word not in words:
        raise UsageError(what=f"{option} {word}: it is one of {', '.join(words)}")
    return word


def bytes_of(text: str) -> int:
    """The number of `500M`, `1G`. Raises UsageError."""
    found = _BYTES.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise UsageError(what=f"--shard-bytes {text}: write a size such as 500M or 1G")
    return int(found[1]) * int(1000 ** _UNITS.index(found[2].lower()))


def shares_of(text: str | None) -> dict[str, float]:
    """The shares of `train=0.98,val=0.02`, in that order. Raises UsageError."""
    shares: dict[str, float] = {}
    for part in text.split(",") if text else ():
        found = _SIDE.fullmatch(part.strip())
        if not found or found[1] in shares:
            raise UsageError(what=f"--split {text}: write it as train=0.98,val=0.02")
        shares[found[1]] = float(found[2])
    if shares and (abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) <= 0):
        raise UsageError(what=f"--split {text}: the shares are above 0 and add up to 1")
    return shares


def check_together(format: Format, request: ExportRequest, options: Mapping[str, Any]) -> None:
    """Raise UsageError, ServiceError or PackageMissing for what does not go together, before the
    work.
    """
    name, output, files = format.name, str(options["output"] or "-"), options["files"]
    if request.safe_cells and name != "csv":
        raise UsageError(what=f"--safe-cells is for CSV, and {output} is none; leave it out")
    if isinstance(format, TableFormat):
        if files:
            raise UsageError(what=f"--files is about folders; {name} names clips where they are")
        check_target(request.output, request.safe_cells, format)
    if options["resplit"] and not options["split"]:
        raise UsageError(what="--resplit decides the sides of --split anew; give --split too")
    if options["resplit"] and options["dry_run"]:
        raise UsageError(what="--resplit forgets sides, and --dry-run writes nothing; take one")
    if not isinstance(format, MediaFormat):
        return
    if format.file and (
        output == "-" or Path(output).is_dir() or Path(output).suffix.lower() != ".parquet"
    ):
        raise UsageError(what=f"--to {name} writes a file; name one: -o {format.file}")
    if not format.file and (output == "-" or Path(output).is_file()):
        raise UsageError(what=f"--to {name} writes a folder; name one: -o FOLDER")
    if is_url(output) and not format.to_urls:
        raise UsageError(what=f"{name} is written to a folder, not to {output}")
    if options["thumbnails"] and not format.shards:
        raise UsageError(what=f"--thumbnails is for webdataset, and {name} has no place for them")
    if files and files not in format.placings:
        takes = "it holds no clips" if format.file else "shards hold the clips"
        if format.placings:
            takes = f"it takes {', '.join(format.placings)}"
        raise UsageError(what=f"--files {files} does not go with --to {name}: {takes}")
    weighed = request.more.balance and request.more.sample is None
    if weighed and format.columns != "usual":
        raise UsageError(
            what=f"--balance without --sample writes weights, which {name} has no place for; add"
            " --sample N"
        )
    if format.columns == "none" and request.columns:
        raise UsageError(what=f"{name} has no place for --columns; leave them out")
    if request.missing == "keep" and files != "none" and format.needs_file:
        raise UsageError(what=f"--missing keep: {name} holds the files; take drop or fail")
