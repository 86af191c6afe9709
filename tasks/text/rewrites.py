"""Texts that a language model wrote of what is known about a clip: rows of the table `rewrites`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from curate.tasks.stage import Rows
from curate.tasks.text.drift import Drift

REWRITES = "rewrites"


def new_rewrite(key: Mapping[str, str], text: str, drift: Drift, seconds: float) -> Rows:
    """The text as the clip's only one by the model, revision, prompt and variant of `key`."""
    added = json.dumps(drift.added, ensure_ascii=False)
    measured = {"drift": drift.share, "added": added, "seconds": seconds}
    return Rows(REWRITES, key, [{"text": text, **measured, "created_at": time.time()}])


def newest_rewrite(rows: Sequence[Mapping[str, Any]], variant: str) -> Mapping[str, Any] | None:
    """What was written last of a clip as this variant, whoever wrote it; None: nothing."""
    return next((row for row in reversed(rows) if row["variant"] == variant), None)
