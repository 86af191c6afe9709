"""The rows of a claim as stages see them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from curate.db.queue.leases import Claim
from curate.tasks.stage import Clip, Tables, Video
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
    time_bases = {
        i: Fraction(row["time_base_num"] or 1, row["time_base_den"] or 1)
        for i, row in claim.videos.items()
    }
    clips = []
    for row in claim.rows:
        clip = Clip(
            id=row["id"],
            dataset_id=row["dataset_id"],
            index=row["clip_index"],
            video=videos[row["video_id"]],
            start_pts=row["start_pts"],
            end_pts=row["end_pts"],
            time_base=time_bases[row["video_id"]],
            values=row,
            samples_from=archives,
            tables={name: by_clip.get(row["id"], ()) for name, by_clip in claim.tables.items()},
            neighbours=_neighbours(claim, row["id"]) if claim.neighbours else {},
        )
        clips.append(clip)
    return clips


def _neighbours(claim: Claim, clip: int) -> dict[int, Tables]:
    """What the clips around a clip have in the tables, by their distance."""
    return {
        distance: {name: by_clip.get(other, ()) for name, by_clip in claim.tables.items()}
        for distance, other in claim.neighbours[clip].items()
    }
