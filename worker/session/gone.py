"""Sources that are no longer there: what `enqueue`, `run`, `errors` and `retry` say of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from curate.configs.errors import ServiceError
from curate.configs.row_errors import Unreadable
from curate.db.datasets import sources_below
from curate.db.reports.failures import sources_that_failed
from curate.tasks.inputs.files import is_gone
from curate.tasks.inputs.paths import is_url, to_text
from curate.worker.session.database import OpenDataset


def gone_below(opened: OpenDataset, sources: Sequence[str], known: int) -> int:
    """How many videos of a dataset lie below the folders among `sources`, but for their files.

    `known` is how many of its videos a search of the sources has just found. Files at URLs are not
    looked at.
    """
    folders = [to_text(os.path.abspath(s)) for s in sources if os.path.isdir(s)]  # noqa: PTH100, PTH112
    return _gone(sources_below(opened.engine, opened.dataset.id, folders, known))


def gone_unreadable(opened: OpenDataset, stage: str | None, error: str | None) -> int:
    """How many sources of the rows that failed, as Unreadable, are not there any more.

    `stage` and `error` narrow the rows down. Files at URLs are not looked at.
    """
    if error not in (None, Unreadable.__name__):
        return 0
    failed = sources_that_failed(opened.engine, opened.dataset.id, Unreadable.__name__, stage)
    return _gone(failed)


def _gone(paths: Iterable[str]) -> int:
    number = 0
    for path in paths:
        with suppress(ServiceError):  # a disk that fails says nothing of its files
            number += not is_url(path) and is_gone(path)
    return number


def gone_text(number: int) -> str:
    """`, 1 gone` behind a count; empty for none."""
    return f", {number} gone" if number else ""
