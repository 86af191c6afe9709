"""A page to vote on captions without knowing who wrote them: one file, which needs no server."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from curate.configs.row_errors import RowError
from curate.db.caption_pairs import CaptionPair
from curate.tasks.storage.locations import replacing
from curate.tasks.video.samples import Samples
from curate.view.report import STATIC
from curate.view.security import Refusal, json_text
from curate.view.single_file import SingleFile, picture_url

POSITIONS = (0.05, 0.275, 0.5, 0.725, 0.95)  # of the pictures, as fractions of the clip
SIDE = 320  # pixels of their longer side
QUALITY = 70


@dataclass(frozen=True)
class Sheet:
    """What a page asks about. `seed` decides which caption of a pair stands on the left."""

    dataset: str
    pairs: Sequence[CaptionPair]
    seed: int


def write_sheet(
    sheet: Sheet,
    samples: Callable[[int], Samples],
    target: Path,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> None:
    """Write the page, whole or not at all; `samples` gives those of a clip by its id.

    A clip whose samples are gone or damaged has no pictures. Raises ServiceError, OSError.
    """
    sides = random.Random(sheet.seed)  # noqa: S311  hides names from a voter, not from an attacker
    shown = []
    for number, pair in enumerate(sheet.pairs, 1):
        left, right = (pair.a, pair.b) if sides.random() < 0.5 else (pair.b, pair.a)
        ids = {"clip": pair.clip, "left": left.id, "right": right.id}
        pictures = _pictures(samples, pair.clip)
        shown.append({**ids, "texts": [left.text, right.text], "pictures": pictures})
        report(number, len(sheet.pairs))
    page = _page({"sheet": uuid.uuid4().hex, "dataset": sheet.dataset, "pairs": shown})
    with replacing(target) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _pictures(samples: Callable[[int], Samples], clip: int) -> list[str]:
    """Small pictures of a clip in the order of time, as URLs, each once."""
    try:
        found = samples(clip)
        numbers = dict.fromkeys(map(found.picture_number, POSITIONS))
        return [picture_url(found.picture(number), SIDE, QUALITY) for number in numbers]
    except (Refusal, RowError):
        return []


def _page(data: dict[str, Any]) -> str:
    file = SingleFile()
    style = file.style((STATIC / "app.css").read_text("utf-8"))
    style += file.style((STATIC / "votes.css").read_text("utf-8"))
    script = file.script((STATIC / "votes.js").read_text("utf-8"))
    html = (STATIC / "votes.html").read_text("utf-8")
    parts = {
        "<!-- head -->": f"{file.policy()}<title>{escape(data['dataset'])}</title>{style}",
        "<!-- data -->": f'<script type="application/json" id="data">{json_text(data)}</script>',
        "<!-- script -->": script,
    }
    for mark, part in parts.items():
        html = html.replace(mark, part, 1)
    return html
