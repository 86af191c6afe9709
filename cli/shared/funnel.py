"""The funnel of a dataset: what came into each step of its pipeline and what it kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.output import aligned, emit, formatted, percent
from curate.cli.shared.session import Session
from curate.db.reports.frames import count_frames
from curate.db.reports.overview import view_dataset

COLUMNS = [
    "step",
    "kind",
    "rows",
    "came_in",
    "kept",
    "dropped",
    "failed",
    "waiting",
    "kept_share",
    "where",
]
NUMERIC = ("came_in", "kept", "dropped", "failed", "waiting", "kept_share")


def funnel_rows(opened: OpenDataset) -> list[dict[str, Any]]:
    """A dict for each step of the pipeline, in order: how many rows came in and what became of
    them. Behind the stage that makes clips, the same of frames and of scenes.
    """
    view = view_dataset(opened.engine, opened.dataset.id, opened.pipeline)
    steps = [
        {
            "step": s.step, "kind": s.kind, "rows": f"{s.level}s", "came_in": s.came_in,
            "kept": s.kept, "dropped": s.dropped, "failed": s.failed, "waiting": s.unfinished,
            "kept_share": None if s.kept_share is None else round(s.kept_share, 6),
            "where": s.where,
        }
        for s in view.steps
    ]  # fmt: skip
    maker = opened.pipeline.maker("clip")
    behind = next((i for i, s in enumerate(steps, 1) if maker and s["step"] == maker.name), 0)
    steps[behind:behind] = _frames_and_scenes(opened)
    return steps


def _frames_and_scenes(opened: OpenDataset) -> list[dict[str, Any]]:
    """What became of the frames of videos, and of their scenes, until they were clips.

    Frames that did not decode count as failed, those in no clip as dropped.
    """
    frames = count_frames(opened.engine, opened.dataset.id)
    if not frames.videos:
        return []
    failed = frames.lost + abs(frames.unplaced)
    flows = {
        "frames": (frames.packets, frames.in_clips, frames.leftover, failed),
        "scenes": (frames.clips + frames.scenes_short, frames.clips, frames.scenes_short, 0),
    }
    return [
        {
            "step": name, "kind": "count", "rows": name, "came_in": came_in, "kept": kept,
            "dropped": dropped, "failed": failed, "waiting": 0,
            "kept_share": round(kept / came_in, 6) if came_in else None, "where": "",
        }
        for name, (came_in, kept, dropped, failed) in flows.items()
    ]  # fmt: skip


def print_funnel(opened: OpenDataset, to_stderr: bool = False, quiet: bool = False) -> None:
    """Print the funnel as text: on stdout, or as a remark on stderr."""
    rows = funnel_rows(opened)
    for row in rows:
        row["kept_share"] = "" if row["kept_share"] is None else percent(row["kept_share"])
    if not to_stderr:
        emit(rows, False, COLUMNS)
    elif not quiet:
        cells = [[formatted(row[name]) for name in COLUMNS] for row in rows]
        sys.stderr.write(aligned(COLUMNS, cells, [name in NUMERIC for name in COLUMNS]))


def refilter_words(opened: OpenDataset) -> Sequence[str]:
    """The command line, behind `curate`, that sets the filter that dropped most to what it is; it
    is there to be edited.
    """
    steps = view_dataset(opened.engine, opened.dataset.id, opened.pipeline).steps
    filters = [step for step in steps if step.kind == "filter"]
    if not filters:
        return ("config", opened.name, "--yaml")
    most = max(filters, key=lambda step: step.dropped)
    where = most.where
    if len(where.splitlines()) > 1 or yaml.safe_load(where) != where:  # --set reads YAML
        where = json.dumps(where)
    return ("refilter", opened.name, "--set", f"{most.step}.where={where}")


def warn_of_refilter(session: Session, opened: OpenDataset) -> None:
    """Warn when changed filters have not been applied to all rows."""
    if opened.dataset.refiltering:
        session.console.warn(
            f"a refilter of {opened.name} is under way or was interrupted: not all rows are judged"
            " by its filters yet; if none is running, finish it with:"
            f" {session.command('refilter', opened.name)}"
        )
