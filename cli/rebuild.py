"""`curate rebuild`: the clips of a manifest, cut again from the same sources."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from curate.cli.shared.options import Json
from curate.cli.shared.output import Counter, emit
from curate.cli.shared.session import Session
from curate.configs.errors import NotRebuilt, UsageError
from curate.configs.shown import counted
from curate.export.rebuild import Rebuild, Rebuilt

Manifest = Annotated[
    Path,
    typer.Argument(metavar="MANIFEST", help="The file that `curate export --to manifest` wrote."),
]
Videos = Annotated[
    list[str],
    typer.Option(
        "--videos", metavar="PATH", help="Folder, file or URL with the sources; repeatable."
    ),
]
Target = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="For the clips.")]


def rebuild(
    ctx: typer.Context,
    manifest: Manifest,
    videos: Videos,
    output: Target,
    as_json: Json = False,
) -> None:
    """Cut the clips of a manifest again, and prove that their frames are the same.

    Sources are found by their bytes, wherever below --videos they are and whatever they are
    called. A clip is written only if the frames that it is made of have the hash of the manifest;
    each source that is missing, or holds other frames, is named. An interrupted rebuild goes on by
    the same command.

    Example:
      curate rebuild manifest.parquet --videos /mnt/sources -o clips/
    """
    session = Session.of(ctx)
    if not manifest.is_file():
        raise UsageError(
            what=f"{manifest} is no file; name a manifest: `curate export --to manifest`"
        )
    with (
        Counter(session.console, "clips looked at and cut") as cutting,
        Counter(session.console, "sources found") as looking,
    ):
        done = Rebuild(manifest, videos, output.resolve(), looking.show, cutting.show).run()
    emit([asdict(remark) for remark in done.remarks.values()], as_json, spare=("why", "found"))
    _tell(session, done, output)
    if done.left:
        states = {"missing", "differs", "failed"}
        wrong = sum(remark.state in states for remark in done.remarks.values())
        raise NotRebuilt(
            clips=counted(done.left, "clip"), of=done.clips, sources=counted(wrong, "source")
        )


def _tell(session: Session, done: Rebuilt, output: Path) -> None:
    console = session.console
    if done.written or not done.left:
        whole = done.written + done.there
        before = f", {done.there} of them there already" if done.there else ""
        console.say(f"{counted(whole, 'clip')} of {done.clips} in {output}, frames proved{before}")
    for remark in done.remarks.values():
        of = f"{counted(remark.clips, 'clip')} of {remark.source}"
        if remark.state == "missing":
            console.warn(f"{of} not rebuilt: no file has its bytes, and none its name")
        elif remark.state == "equal":
            console.warn(f"{of} rebuilt from {remark.found}: other bytes, but the same frames")
        elif remark.state == "differs":
            console.warn(f"{of} not rebuilt: {remark.found} is another file: {remark.why}")
        else:
            console.warn(f"{of} not rebuilt: {remark.why}")
