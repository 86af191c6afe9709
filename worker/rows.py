"""The rows of a claim as stages see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate.db.queue.leases import Claim
from curate.tasks.stage import Clip, Video
from curate.tasks.storage.archives import RemoteArchives


def stage_rows(claim: Claim, samples: Path | str) -> Sequence[Video | Clip]:
    """Videos or clips in the order of the claim. `samples`: the folder or URL of the samples."""
    of_videos = claim.request.step.level == "video"
    videos = {
        row["id"]: Video(
            id=row["id"],
            dataset_id=row["dataset_id"],
            path=row["path"],
            relpath=row["relpath"],
            values=row,
            fingerprint=row["fingerprint"],
        )
        for row in (claim.rows if of_videos else claim.videos.values())
    }
    if of_videos:
        return list(videos.values())
    archives = RemoteArchives(samples) if isinstance(samples, str) else samples
    clips = []
    for row in claim.rows:
        video = claim.videos[row["video_id"]]
        clip = Clip(
            id=row["id"],
            dataset_id=row["dataset_id"],
            index=row["clip_index"],
            video=videos[row["video_id"]],
            start_pts=row["start_pts"],
            end_pts=row["end_pts"],
            time_base=Fraction(video["time_base_num"] or 1, video["time_base_den"] or 1),
            values=row,
            samples_from=archives,
            tables=_tables(claim, row["id"]),
            neighbours={
                distance: _tables(claim, other)
                for distance, other in claim.neighbours.get(row["id"], {}).items()
            },
        )
        clips.append(clip)
    return clips


def _tables(claim: Claim, clip: int) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {name: by_clip.get(clip, ()) for name, by_clip in claim.tables.items()}
