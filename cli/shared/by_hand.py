"""What the commands about captions share."""

from __future__ import annotations

from curate.cli.shared.database import OpenDataset
from curate.db.captions import having
from curate.tasks.text.captions import HAND

CLEAN = "clean_text"


def with_text_by_hand(opened: OpenDataset, where: str) -> list[int]:
    """The clips with a text by hand. Raises FilterError."""
    return having(opened.engine, opened.dataset.id, where, opened.pipeline.columns(), HAND)


def _names(opened: OpenDataset) -> list[str]:
    return [s.name for s in opened.pipeline.stages]
