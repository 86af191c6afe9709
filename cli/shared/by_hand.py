"""Texts that people wrote, for the commands about captions."""

from __future__ import annotations

from curate.db.captions import having
from curate.tasks.text.captions import HAND
from curate.worker.session.database import OpenDataset

CLEAN = "clean_text"  # the stage that makes a clip's text of its captions


def clips_by_hand(opened: OpenDataset, where: str) -> list[int]:
    """The clips that have a text by hand. Raises FilterError."""
    return having(opened.engine, opened.dataset.id, where, opened.pipeline.columns(), HAND)
