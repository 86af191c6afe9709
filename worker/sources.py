"""Sources that were replaced since they were probed: what a stage found in them is not saved."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from curate.configs.schema import ABSENT
from curate.db.save.batch import Outcomes
from curate.tasks.inputs.files import fingerprint_now, is_same_file
from curate.tasks.stage import Clip, Video

log = logging.getLogger(__name__)


def leave_out_replaced(rows: Sequence[Video | Clip], outcomes: Outcomes) -> None:
    """Move the rows whose source is another file than the row says to `outcomes.replaced`.

    Looks at each source once. A source that is gone was not replaced: its rows end as the stage
    says. Raises ServiceError.
    """
    by_id = {row.id: row if isinstance(row, Video) else row.video for row in rows}
    replaced: dict[int, tuple[str, str]] = {}
    for video in {video.id: video for video in by_id.values()}.values():
        now = fingerprint_now(video.path)
        if now in (video.fingerprint, ABSENT) or is_same_file(video.fingerprint, now):
            continue
        replaced[video.id] = video.fingerprint, now
        message = "%s was replaced while it was worked on: nothing is saved, and it begins again"
        log.warning(message, video.path)
    if replaced:
        outcomes.replaced = replaced
        outcomes.leave_out({row_id for row_id, video in by_id.items() if video.id in replaced})
