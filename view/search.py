"""The page Search: the clips that look like a text, as `curate search` finds them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from curate.configs.errors import CurateError, NoEmbeddings, NothingEmbedded
from curate.db.vectors import best_clips
from curate.tasks.models.catalog import folder_of
from curate.tasks.models.embedder import Embedder, embedder_of
from curate.tasks.models.embeddings import TextVector
from curate.tasks.models.verify import missing
from curate.view.clips import STATUSES, cards
from curate.view.security import Page, Refusal
from curate.view.state import Home, ShownDataset
from curate.view.text_tower import TextTowerProcess

LIMIT = 60  # clips of a page
MOST = 480


def embedder_shown(shown: ShownDataset) -> Embedder:
    """The stage whose embeddings are looked through. Raises NoEmbeddings."""
    return embedder_of(shown.pipeline, shown.dataset.name, shown.dataset.run_anew)


def what_is_missing(home: Home, shown: ShownDataset) -> dict[str, str] | None:
    """Why the clips of a dataset cannot be found by a text, and the command that changes it.

    None: they can. Only headers of the weights are read.
    """
    try:
        lacks = missing([embedder_shown(shown).need], home.settings.model_folder)
    except NoEmbeddings as error:
        lacks = [str(error)]
    if not lacks:
        return None
    why, _, command = lacks[0].rstrip("`").rpartition("`")
    name = shown.dataset.name
    return {"why": home.advise(why, name), "command": home.advise(f"`{command}`", name)}


def find(
    home: Home, shown: ShownDataset, text: TextVector, count: int, status: str
) -> list[dict[str, Any]]:
    """The clips, of a status or of all, that look most like a text, the best first, with scores.

    Raises NothingEmbedded, OtherWeights, and Refusal when it takes too long.
    """
    embedder = embedder_shown(shown)
    seconds = home.settings.sql_seconds
    end = time.monotonic() + seconds

    def scores(revision: str, vectors: Sequence[bytes]) -> list[float]:
        # Postgres limits a statement, and each chunk is one
        if time.monotonic() > end:
            raise Refusal(503, f"This takes longer than {seconds:g} s")
        return text.scores(revision, vectors, embedder.stage)

    where = f"status = '{status}'" if status else ""
    model = embedder.need.model
    best = dict(best_clips(shown.engine, shown.dataset.id, model, scores, count, where))
    if not best:
        which = f" that is {status}" if status else ""
        raise NothingEmbedded(name=shown.dataset.name, which=which)
    found = cards(shown, list(best))
    return [{**card, "score": round(best[card["id"]], 4)} for card in found]


class SearchByText(Page):
    """/api/search"""

    async def get(self) -> None:
        """The clips that look most like `text`: `count` of them, with a `status` if one is given.

        The first text starts the process of the text tower.
        """
        text = self.text("text")
        count = self.integer("count", LIMIT, 1, MOST)
        status = self.choice("status", STATUSES)
        if not text:
            raise Refusal(400, "text is what the clips should show")
        shown = await self.shown()
        if lacks := await self.work(what_is_missing, self.home, shown):
            raise Refusal(503, f"{lacks['why']}{lacks['command']}")
        tower: TextTowerProcess = self.settings["text_tower"]
        model = embedder_shown(shown).need.model
        try:
            vector = await tower.vector(folder_of(model, self.home.settings.model_folder), text)
        except CurateError as error:
            raise self.refusal(error) from error
        clips = await self.work_in(
            self.pools.patient, find, self.home, shown, vector, count, status
        )
        self.send_json({"clips": clips, "more": len(clips) == count < MOST})


ROUTES = [(r"/api/search", SearchByText)]
