"""`curate verify`: whether the files that the rows name are there and whole."""

from __future__ import annotations

import os
from collections import Counter as Numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from curate.cli.shared.local_run import run_here
from curate.cli.shared.notify import notify_workers
from curate.cli.shared.options import DatasetName, Json, Processes
from curate.cli.shared.output import Counter, emit, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import ServiceError
from curate.configs.schema import ABSENT
from curate.configs.shown import counted
from curate.db.checking import (
    CutClip,
    Source,
    count_cut,
    cut_clips,
    file_writer,
    not_through,
    sources,
    still_so,
)
from curate.db.deleting import count_videos
from curate.db.redo import put_back
from curate.tasks.inputs.files import fingerprint_now, is_gone, is_same_file
from curate.tasks.storage.clip_files import file_states
from curate.tasks.storage.removal import REQUESTS
from curate.tasks.video.damage import damage_of
from curate.worker.heartbeat import some_run
from curate.worker.session.database import OpenDataset, open_dataset

SHOWN = 20  # problems that the table has; JSON has all

CLIP_PROBLEMS = ("missing", "resized", "damaged")
SOURCE_PROBLEMS = ("gone", "changed", "unreachable")


@dataclass(frozen=True)
class Problem:
    """A file that is not as its row says. `id` is that of the clip or of the video."""

    what: str  # clip or source
    problem: str
    id: int
    video_id: int
    path: str
    why: str = ""


def verify(
    ctx: typer.Context,
    dataset: DatasetName = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at the sizes of files, and decode none.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Cut the clips again whose files are amiss.")
    ] = False,
    jobs: Processes = None,
    as_json: Json = False,
) -> None:
    """Check whether the files of clips are there and whole, and the sources unchanged.

    A clip's file may be missing, resized (its row has another size) or damaged (it cannot be
    decoded). A source may be gone, changed or unreachable (whether it is there cannot be told).
    --repair puts these clips back before cut and runs workers, unless some are listening; what has
    lost its source stays as it is. It exits with 1 when something is amiss and stays so.

    Example:
      curate verify
      curate verify videos --quick
      curate verify videos --repair
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    writer = file_writer(opened.pipeline)
    look = Look(opened, quick, jobs or os.cpu_count() or 1)
    with Counter(session.console, "sources looked at") as counter:
        problems = list(look.sources(counter.show))
    lost = {problem.id for problem in problems}
    back = 0
    with Counter(session.console, "clips looked at") as counter:
        for found in look.clips(counter.show):
            problems += found
            ids = [p.id for p in found if p.video_id not in lost]
            if repair and ids and writer:
                put_back(opened.engine, opened.dataset, opened.pipeline, writer.name, ids)
                back += len(ids)
    if not as_json:
        _print(look, problems)
    again, left = _cut_again(session, opened, writer.name, jobs) if repair and writer else (0, 0)
    if as_json:
        counts = {"clips": look.counts("clip"), "sources": look.counts("source")}
        found_all = [asdict(problem) for problem in problems]
        repaired = {"put_back": back, "cut_again": again} if repair else {}
        emit_json({"dataset": opened.name, **counts, "problems": found_all, **repaired})
    elif repair:
        waiting = f", {left} put back before cut" if left else ""
        print(f"{counted(again, 'clip')} cut again{waiting}")
    _say_next(session, opened, problems, repair, left > 0)
    if sum(problem.what == "clip" for problem in problems) > again or left or lost:
        raise typer.Exit(1)


class Look:
    """Looks at the files of one dataset, and counts what it finds."""

    def __init__(self, opened: OpenDataset, quick: bool, jobs: int) -> None:
        self._opened = opened
        self._quick = quick
        self._jobs = jobs
        self._found: dict[str, Numbers[str]] = {"clip": Numbers(), "source": Numbers()}

    def counts(self, what: str) -> dict[str, int]:
        """How many clips or sources were looked at, and how many are how."""
        names = CLIP_PROBLEMS if what == "clip" else SOURCE_PROBLEMS
        found = self._found[what]
        return {"looked_at": found.total(), "fine": found["fine"], **{n: found[n] for n in names}}

    def sources(self, report: Callable[[int, int], None]) -> Iterator[Problem]:
        """What is amiss with sources. Raises ServiceError when a store does not answer."""
        engine, dataset = self._opened.engine, self._opened.dataset
        videos = count_videos(engine, dataset.id)
        numbers = self._found["source"]
        with ThreadPoolExecutor(REQUESTS) as pool:
            for chunk in sources(engine, dataset):
                states = pool.map(_state_of_source, chunk)
                for source, state in zip(chunk, states, strict=True):
                    numbers[state] += 1
                    if state != "fine":
                        yield Problem("source", state, source.id, source.id, source.path)
                report(numbers.total(), videos)

    def clips(self, report: Callable[[int, int], None]) -> Iterator[list[Problem]]:
        """What is amiss with the files of clips, a few at a time. Raises ServiceError."""
        engine, pipeline = self._opened.engine, self._opened.pipeline
        of = count_cut(engine, self._opened.dataset)
        numbers = self._found["clip"]
        with ThreadPoolExecutor(self._jobs) as pool:
            for chunk in cut_clips(engine, self._opened.dataset, pipeline):
                states = file_states([(clip.path, clip.size) for clip in chunk], ask_stores=True)
                found = {c: states[c.path, c.size] for c in chunk}
                amiss: dict[CutClip, str] = {c: s for c, s in found.items() if s != "there"}
                whys: dict[CutClip, str] = {}
                if not self._quick:
                    there = [clip for clip in chunk if clip not in amiss]
                    done = numbers.total()
                    found_out = pool.map(lambda clip: damage_of(clip.path, clip.frames), there)
                    for number, (clip, why) in enumerate(zip(there, found_out, strict=True), 1):
                        report(done + number, of)
                        if why:
                            amiss[clip], whys[clip] = "damaged", why
                still = still_so(engine, pipeline, list(amiss))
                numbers.update(amiss[clip] for clip in still)
                numbers["fine"] += len(chunk) - len(still)
                report(numbers.total(), of)
                yield [
                    Problem("clip", amiss[c], c.id, c.video_id, c.path, whys.get(c, ""))
                    for c in still
                ]


def _state_of_source(source: Source) -> str:
    now = fingerprint_now(source.path)
    if now == ABSENT:
        try:
            return "gone" if is_gone(source.path, source.relpath) else "unreachable"
        except ServiceError:
            return "unreachable"
    return "fine" if is_same_file(source.fingerprint, now) else "changed"


def _print(look: Look, problems: Sequence[Problem]) -> None:
    rows: list[dict[str, Any]] = [asdict(problem) for problem in problems[:SHOWN]]
    if rows:
        emit(rows, False, ("what", "problem", "id", "path", "why"), ("why",))
        if len(problems) > SHOWN:
            print(f"and {counted(len(problems) - SHOWN, 'file')} more; --json has all")
    for what, name in (("clip", "clip"), ("source", "source")):
        numbers = look.counts(what)
        parts = [f"{number} {state}" for state, number in numbers.items() if number]
        parts = [part for part in parts if not part.endswith("looked_at")]
        print(f"{counted(numbers['looked_at'], name)} looked at: {', '.join(parts) or 'none'}")


def _cut_again(
    session: Session, opened: OpenDataset, stage: str, jobs: int | None
) -> tuple[int, int]:
    """Let clips be cut that were put back, also by a repair that was killed; returns how many were,
    and how many are not yet.

    Where workers run they do it; then none was yet.
    """
    before = not_through(opened.engine, opened.dataset, stage)
    if not before or (some_run(opened.engine) and notify_workers(session, opened)):
        return 0, before
    run_here(session, opened, jobs)
    left = not_through(opened.engine, opened.dataset, stage)
    return before - left, left


def _say_next(
    session: Session, opened: OpenDataset, problems: Iterable[Problem], repair: bool, wait: bool
) -> None:
    kinds = {problem.problem for problem in problems}
    commands: list[Sequence[str]] = []
    if kinds & set(CLIP_PROBLEMS) and not repair:
        commands.append(("verify", opened.name, "--repair"))
    if wait:
        commands.append(("status", opened.name, "--watch"))
    if "changed" in kinds:
        commands.append(("enqueue", opened.dataset.root))
    if "gone" in kinds:
        commands.append(("prune", opened.name, "--gone"))
    session.next(*commands)
