"""The page of one clip: everything that is known of it, and how to play it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, column, select

from curate.configs.errors import ServiceError
from curate.configs.pipeline import Pipeline
from curate.configs.row_errors import RowError
from curate.configs.settings import without_passwords
from curate.db.engine import reading
from curate.db.export import HIDDEN
from curate.db.expressions import among
from curate.db.ledger import ledger, way_back
from curate.db.reports.one_row import dataset_of, duplicates, texts_of
from curate.db.schema import captions, clips, option_scores, rewrites, videos
from curate.tasks.video.samples import Samples
from curate.view.clips import cards
from curate.view.media import content_type, player_type, samples_of
from curate.view.security import Page, Refusal
from curate.view.state import Home, ShownDataset

FACTS = (
    "start_seconds", "end_seconds", "seconds", "num_frames", "fps", "width", "height", "text",
    "file_size",
)  # fmt: skip
POSITION = ("stage", "status", "reason", "error", "return_to", "picked", "attempts")
VIDEO = (
    "id", "path", "relpath", "codec", "media_type", "width", "height", "fps", "duration",
    "num_frames", "num_clips", "time_jumps", "status", "stage", "reason",
)  # fmt: skip


def describe(home: Home, clip: int) -> dict[str, Any]:
    """All that is known of a clip. Raises Refusal where there is none, and ServiceError where it is
    deleted while its rows are read, one after the other.
    """
    name = dataset_of(home.engine, "clip", clip)
    if name is None:
        raise Refusal(404, f"There is no clip {clip}")
    shown = home.open(name)
    shows, found = cards(shown, [clip]), _values(shown, [clip])
    if not shows or not found:
        raise Refusal(404, f"Clip {clip} was deleted just now")
    values = found[clip]
    with reading(home.engine) as connection:
        source = select(*(videos.c[n] for n in VIDEO)).where(videos.c.id == values["video_id"])
        video = _shown_texts(dict(connection.execute(source).mappings().one()))
    pictures = _pictures(home, clip, name)
    error = values["error"] and home.advise(values["error"], name)
    texts = texts_of(home.engine, clip)
    lines = ledger(home.engine, shown.pipeline, "clip", clip)
    back = way_back(name, values, lines)
    return {
        "dataset": name,
        "card": shows[0],
        "position": {n: values[n] for n in POSITION} | {"error": error},
        "facts": {n: values[n] for n in FACTS if n in values},
        "scores": _scores(shown.pipeline, _shown_texts(values)),
        "video": video,
        "film": _film(values, video),
        "pictures": pictures,
        "captions": texts[captions.name][::-1],  # newest first
        "rewrites": texts[rewrites.name][::-1],
        "options": texts[option_scores.name],
        "ledger": [
            {
                **asdict(line),
                "clauses": [
                    {**asdict(one), "values": _shown_texts(one.values)} for one in line.clauses
                ],
            }
            for line in lines
        ],
        "duplicates": _duplicates(shown, values),
        "commands": {
            "keep": home.command("pick", "keep", str(clip), "--dataset", name),
            "drop": home.command("pick", "drop", str(clip), "--dataset", name),
            "undo": home.command("pick", "undo", str(clip), "--dataset", name),
            "back": home.command(*back) if back else None,
        },
    }


def _shown_texts(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, without the secrets of URLs among them: a report is sent to others."""
    return {n: without_passwords(v) if isinstance(v, str) else v for n, v in values.items()}


def _values(shown: ShownDataset, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The columns of clips that the schema and the dataset's pipeline name, by the clips' ids."""
    known: dict[str, ColumnElement[Any]] = {c.name: c for c in clips.columns}
    known |= {n: column(n) for n in shown.pipeline.columns() if n not in known}
    query = select(*known.values()).where(among(clips.c.id))
    with reading(shown.engine) as connection:
        rows = connection.execute(query, {"ids": list(ids)}).mappings()
        return {int(row["id"]): dict(row) for row in rows}


def _scores(pipeline: Pipeline, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each column that the stages write to a clip, in the order of the stages."""
    scores = []
    for step in pipeline.stages:
        for name, declared in step.columns.items():
            if step.level == "clip" and name in values and name not in FACTS:
                scores.append(
                    {
                        "stage": step.name,
                        "name": name,
                        "value": values[name],
                        "doc": declared.doc,
                        "range": declared.range,
                        "better": declared.better,
                    }
                )
    return scores


def _film(values: Mapping[str, Any], video: Mapping[str, Any]) -> dict[str, Any]:
    """How a clip may be played: its own file, or from where to where of its source.

    A source whose clock jumps is played by its own clock, so a span of it cannot be found.
    """
    source = player_type(video["path"], video["codec"]) if not video["time_jumps"] else ""
    return {
        "clip": content_type(values["path"]) if values["path"] else "",
        "source": source,
        "from": values["start_seconds"],
        "to": values["end_seconds"],
    }


def _pictures(home: Home, clip: int, dataset: str) -> dict[str, Any]:
    """The seconds of the stored pictures, counted from the clip's start; or why there are none."""
    try:
        samples: Samples = samples_of(home, clip)
    except (RowError, ServiceError) as error:
        return {"seconds": [], "error": home.advise(str(error), dataset)}
    return {"seconds": [picture.seconds for picture in samples.measures.pictures], "error": None}


def _duplicates(shown: ShownDataset, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The original and the copies of a clip, as `duplicates` lists them: what they show, and the
    columns in which they differ.
    """
    related = duplicates(shown.engine, shown.pipeline, values["id"])
    ids = list({other["id"] for other in related})
    others, shows = _values(shown, ids), {card["id"]: card for card in cards(shown, ids)}
    return [
        {
            "card": shows[other["id"]],
            "stage": other["stage"],
            "relation": other["relation"],
            "distance": other["distance"],
            "differs": _differences(shown.pipeline, values, others[other["id"]]),
        }
        for other in related
        if other["id"] in shows
    ]


def _differences(
    pipeline: Pipeline, mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The columns that two clips differ in, with both values."""
    scores = [
        name
        for step in pipeline.stages
        if step.level == "clip"
        for name in step.columns
        if "duplicate" not in name and name not in HIDDEN
    ]
    names = dict.fromkeys([*FACTS, *scores, "status", "reason"])
    mine, theirs = _shown_texts(mine), _shown_texts(theirs)
    return [
        {"name": n, "this": mine[n], "other": theirs[n]}
        for n in names
        if n in mine and mine[n] != theirs[n]
    ]


class ClipPage(Page):
    """/api/clip"""

    async def get(self) -> None:
        """All that is known of the clip with the id `id`."""
        self.send_json(await self.work(describe, self.home, self.integer("id", 0, 1)))


ROUTES = [(r"/api/clip", ClipPage)]
