"""`curate view -o FILE`: the pages as one file that opens without a server.

Its counts are of all rows: for each threshold, what each of up to STOPS numbers would do, as the
page Scores computes it. Its pictures are of a sample of the clips.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import column as column_called
from sqlalchemy import select

from curate.configs.errors import ServiceError
from curate.configs.row_errors import RowError
from curate.configs.schema import LEVELS
from curate.db.engine import reading, row_is_gone
from curate.db.expressions import among
from curate.db.schema import clips as table
from curate.tasks.storage.locations import replacing
from curate.view import clip, clips, failed, funnel, predictions, scores
from curate.view.datasets import describe
from curate.view.media import samples_of
from curate.view.security import Refusal, json_text
from curate.view.single_file import SingleFile, picture_url
from curate.view.snapshot import ChangedFilters, Snapshot, Threshold, take_snapshot
from curate.view.state import Home, ShownDataset

MOST = 600  # clips in the file
NEAR = 10  # of them, on each side of each threshold
STOPS = 200  # numbers that a threshold can have
LARGE, STOPS_OF_LARGE = 200_000, 50  # with more rows there are fewer
SIDES = (96, 208, 96)  # pixels of the longer side of the pictures of a clip
QUALITY = 65
STATIC = Path(__file__).parent / "static"
PAGES = ("funnel", "scores", "clips", "clip", "failed")  # in the file
Report = Callable[[int, int], None]  # parts done, of how many

_ASSET = re.compile(
    r'<link rel="stylesheet" href="/static/([\w./-]+)">|<script src="/static/([\w./-]+)"></script>'
)


def write_report(
    home: Home,
    target: Path,
    report: Report = lambda _done, _of: None,
    read: Callable[[int], None] = lambda _rows: None,
) -> dict[str, int]:
    """Write the file, whole or not at all. Returns the clips that are in it, of how many, and its
    bytes. `read` is told of the rows that were read, before there are parts to `report`.

    Raises NoSuchDataset, ServiceError, NotANumber, OSError.
    """
    shown = home.open()
    engine = home.patient or shown.engine
    snapshot = take_snapshot(engine, shown.dataset, shown.pipeline, read)
    taken = scores.Taken(shown.dataset.pipeline_text, snapshot)
    data = _Report(home, shown, taken).data(report)
    page = _page(shown.dataset.name, data)
    with replacing(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return {"clips": data["sample"], "of": data["clips"], "bytes": target.stat().st_size}


@dataclass
class _Report:
    """What goes into the file."""

    home: Home
    shown: ShownDataset
    taken: scores.Taken

    @property
    def snapshot(self) -> Snapshot:
        return self.taken.snapshot

    def data(self, report: Report) -> dict[str, Any]:
        """All of it, JSON-ready."""
        name = self.shown.dataset.name
        places = sample(self.snapshot)
        stops = {key: stops_of(self.snapshot, t) for key, t in self.snapshot.thresholds.items()}
        columns = predictions.other_columns(self.snapshot)
        parts = len(places) + len(columns) + sum(map(len, stops.values())) + len(stops)
        done = iter(range(1, parts + 1))

        def step() -> None:
            report(next(done), parts)

        home = describe(self.home, name) | {"datasets": [name], "search_lacks": None}
        return {
            "made": time.time(),
            "pages": PAGES,
            "sample": len(places),
            "clips": len(self.snapshot.rows["clip"]),
            "home": home,
            "funnel": funnel.describe(self.home, name),
            "skipped": funnel.count_skipped(self.home, name),
            "scores": predictions.describe(self.snapshot),
            "stops": stops,
            **self.changes(stops, step),
            "histograms": self.histograms(columns, step),
            "tiles": self.tiles(places),
            **self.details(places, step),
            "columns": clips.choices(self.shown)["columns"],
            "failed": self.failures(),
        }

    def changes(self, stops: dict[str, list[float]], step: Callable[[], None]) -> dict[str, Any]:
        """What each number of each threshold would do, and each filter that is off."""
        moved: dict[str, list[Any]] = {}
        for key, numbers in stops.items():
            moved[key] = []
            for number in numbers:
                same = number == self.snapshot.thresholds[key].clause.number
                changes = ChangedFilters({} if same else {key: number})
                moved[key].append(self._prediction(changes, key))
                step()
        names = [f.name for f in self.snapshot.pipeline.filters]
        return {
            "moved": moved,
            "off": {name: self._prediction(ChangedFilters(off={name})) for name in names},
            "unmoved": self._prediction(ChangedFilters()),
        }

    def _prediction(self, changes: ChangedFilters, key: str = "") -> dict[str, Any]:
        return scores.prediction_json(self.home, self.shown, self.taken, changes, key)

    def histograms(self, columns: list[str], step: Callable[[], None]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in self.snapshot.thresholds:
            found[key] = scores.histogram_json(self.home, self.shown, self.taken, key)
            step()
        for column in columns:
            found[f" {column}"] = scores.histogram_json(
                self.home, self.shown, self.taken, "", column
            )
            step()
        return found

    def tiles(self, places: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The clips of the sample, with what would become of each, and what they are sorted by."""
        found = predictions.show_clips(self.shown, self.snapshot, {"all": places})["all"]
        rows = self.snapshot.rows["clip"]
        fates = fates_of(self.snapshot, places)
        of = {int(rows.ids[place]): fate for place, fate in zip(places, fates, strict=True)}
        names = sorted(clips.sortable(self.shown.pipeline))
        query = select(table.c.id, *map(column_called, names)).where(among(table.c.id))
        with reading(self.shown.engine) as connection:
            read = connection.execute(query, {"ids": [tile["id"] for tile in found]})
            values = {int(row[0]): dict(zip(names, row[1:], strict=True)) for row in read}
        return [{**tile, **of[tile["id"]], "values": values.get(tile["id"], {})} for tile in found]

    def details(
        self, places: NDArray[np.int64], step: Callable[[], None]
    ) -> dict[str, dict[str, Any]]:
        """Of each clip of the sample: its page, and small pictures as URLs in the order of time.

        A clip that was deleted since has no page, and one without samples no pictures.
        """
        pages: dict[str, Any] = {}
        pictures: dict[str, list[str]] = {}
        for place in places:
            number = int(self.snapshot.rows["clip"].ids[place])
            pictures[str(number)] = []
            try:
                page = clip.describe(self.home, number)
                # what is the same in all pages stands in the file once, as `declared`
                page["scores"] = [[score["name"], score["value"]] for score in page["scores"]]
                pages[str(number)] = page
                samples = samples_of(self.home, number)
                shown = zip((0.1, 0.5, 0.9), SIDES, strict=True)
                urls = [picture_url(samples.at(at), side, QUALITY) for at, side in shown]
                pictures[str(number)] = urls
            except (Refusal, RowError):
                pass
            except ServiceError as error:
                if not row_is_gone(error):
                    raise
            step()
        declared = [
            {"stage": s.name, "name": n, "doc": c.doc, "range": c.range, "better": c.better}
            for s in self.shown.pipeline.stages
            for n, c in s.columns.items()
        ]
        return {
            "pages_of_clips": pages,
            "pictures": pictures,
            "declared": {column["name"]: column for column in declared},
        }

    def failures(self) -> list[dict[str, Any]]:
        """The kinds of failures, each with its first rows."""
        found = failed.kinds(self.home, self.shown)
        for kind in found:
            key = (kind["stage"], kind["error"])
            kind["first"] = failed.rows(self.home, self.shown, kind["level"], key, 0)
        return found


def sample(snapshot: Snapshot) -> NDArray[np.int64]:
    """The places of the clips that are in the file: all, or those nearest to each threshold and a
    random sample of the others.
    """
    rows = snapshot.rows["clip"]
    if len(rows) <= MOST:
        return np.arange(len(rows))
    near: list[NDArray[np.int64]] = []
    for threshold in snapshot.thresholds.values():
        if threshold.step.level == "clip":
            number = threshold.clause.number
            near += predictions.nearest_rows(snapshot, threshold, number, NEAR).values()
    chosen = np.unique(np.concatenate([*near, np.zeros(0, np.int64)]))[:MOST]
    others = np.random.default_rng(0).choice(len(rows), MOST, replace=False)
    others = others[~np.isin(others, chosen)][: MOST - len(chosen)]
    return np.sort(np.concatenate([chosen, others]))


def stops_of(snapshot: Snapshot, threshold: Threshold) -> list[float]:
    """The numbers that a threshold can have in the file, in order; the one in force is among them.

    Where there are too many values, quantiles with four digits stand for them.
    """
    measured = snapshot.values(threshold)
    measured = measured[np.isfinite(measured)]
    large = sum(len(snapshot.rows[level]) for level in LEVELS) > LARGE
    most = STOPS_OF_LARGE if large else STOPS
    distinct = np.unique(measured)
    if len(distinct) > most:
        spread = np.quantile(distinct, np.linspace(0, 1, most // 2))
        dense = np.quantile(measured, np.linspace(0, 1, most // 2))
        distinct = np.array([float(f"{value:.4g}") for value in (*spread, *dense)])
    usable = [float(v) for v in distinct if v == 0 or 1e-15 <= abs(v) <= 1e15]
    return sorted({*usable, threshold.clause.number})


def fates_of(snapshot: Snapshot, places: NDArray[np.int64]) -> list[dict[str, Any]]:
    """What becomes of clips: whether they go on now, and whether they would without each filter.

    For each threshold also their value, whether they met its filter, and whether they would go on
    if they passed the threshold and if they failed it.
    """
    rows = snapshot.rows["clip"]
    found: list[dict[str, Any]] = [
        {"goes_on": bool(goes_on), "thresholds": {}, "off": {}} for goes_on in rows.going_on[places]
    ]
    for key, threshold in snapshot.thresholds.items():
        end = float("inf") if threshold.clause.op in ("<", "<=") else -float("inf")
        passing = snapshot.predict(ChangedFilters({key: end}))["clip"].goes_on[places]
        failing = snapshot.predict(ChangedFilters({key: -end}))["clip"].goes_on[places]
        at = places if threshold.step.level == "clip" else rows.video[places]
        columns = (snapshot.values(threshold)[at], snapshot.met(threshold.step)[at])
        for fate, value, met, yes, no in zip(found, *columns, passing, failing, strict=True):
            number = None if np.isnan(value) else float(value)
            fate["thresholds"][key] = {
                "value": number, "met": bool(met), "passing": bool(yes), "failing": bool(no),
            }  # fmt: skip
    for step in snapshot.pipeline.filters:
        goes_on = snapshot.predict(ChangedFilters(off={step.name}))["clip"].goes_on[places]
        for fate, yes in zip(found, goes_on, strict=True):
            fate["off"][step.name] = bool(yes)
    return found


def _page(name: str, data: dict[str, Any]) -> str:
    """The file: the HTML of the pages with its styles, scripts and data inlined."""
    file = SingleFile()

    def asset(found: re.Match[str]) -> str:
        style, script = found.groups()
        if style:
            return file.style((STATIC / style).read_text("utf-8"))
        made = file.script((STATIC / script).read_text("utf-8"))
        if script == "app.js":  # before the scripts of the pages, which ask for the data
            text = json_text(data)
            made = f'{made}\n<script type="application/json" id="data">{text}</script>'
            made += file.script((STATIC / "report.js").read_text("utf-8"))
        return made

    html = _ASSET.sub(asset, (STATIC / "index.html").read_text("utf-8"))
    title = f"<title>curate: {escape(name)}</title>"
    html = re.sub("<title>.*?</title>", lambda _: file.policy() + title, html, count=1)
    return html.replace("<main ", '<p id="note" class="muted note"></p>\n<main ', 1)
