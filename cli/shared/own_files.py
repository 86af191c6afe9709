"""The files of a dataset that are curate's own, to be counted and removed. Sources never are."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from curate.configs.settings import Settings
from curate.db.datasets import Dataset
from curate.db.deleting import (
    ClipFile,
    clip_files,
    clips_by_index,
    holds_sources,
    known_sources,
    videos_by_stem,
)
from curate.tasks.inputs.paths import is_url, to_path, to_text
from curate.tasks.storage.clip_paths import archive, clip_path
from curate.tasks.storage.locations import Location, below
from curate.tasks.storage.removal import files_below

CHUNK = 500
_NAME_OF_CLIP = re.compile(r"/(?P<stem>.+)_scene-(?P<index>\d+)\.mp4", re.DOTALL)


def folder_of(settings: Settings, dataset: Dataset) -> Location:
    """The folder or URL below which a dataset's clips are written."""
    return below(settings.clips, dataset.folder)


def planned_path(folder: Location, clip: ClipFile) -> str:
    """Where the file of a clip is written, as the database has it."""
    return to_text(str(clip_path(folder, clip.stem, clip.clip_index)))


def is_own_folder(engine: Engine, folder: Location) -> bool:
    """Whether no sources lie in a folder of clips: where they do, a file that has the name of a
    clip may be a user's.
    """
    return not holds_sources(engine, to_text(str(folder)))


def file_of_clip(settings: Settings, dataset: Dataset, clip: ClipFile) -> str | None:
    """The path where a clip's file is, or where it would be written now if its row has none.

    None for the row of a still image, which has the path of its source.
    """
    planned = planned_path(folder_of(settings, dataset), clip)
    if clip.path is None or clip.path == planned:
        return planned
    # written while CURATE_MEDIA was another one: it ends as clips of the dataset do
    root: Location = "x://x" if is_url(clip.path) else Path("/x")
    tail = planned_path(below(root, dataset.folder), clip).removeprefix(str(root))
    if not clip.path.endswith(tail):
        return None
    home = Path(to_path(clip.path.removesuffix(tail))).parent
    # this home is a copy of one that is still there, with files of its own
    of_another = home != settings.folder and os.path.exists(home / "curate.db")  # noqa: PTH110  no error
    return planned if of_another and not is_url(clip.path) else clip.path


def files_of_videos(
    engine: Engine,
    settings: Settings,
    dataset: Dataset,
    video_ids: Sequence[int],
    own_folder: bool = True,
) -> Iterator[str]:
    """The paths of all files that are or may be there of videos: of clips and samples.

    Without `own_folder` (see `is_own_folder`), of clips only the files that rows name.
    """
    of_clips = [clip for clip in clip_files(engine, video_ids) if own_folder or clip.path]
    paths = [path for clip in of_clips if (path := file_of_clip(settings, dataset, clip))]
    for start in range(0, len(paths), CHUNK):
        chunk = paths[start : start + CHUNK]
        # where sources lie in the folder of clips, one may have the name of a clip
        yield from set(chunk) - known_sources(engine, chunk)
    for video_id in video_ids:
        yield to_text(str(archive(settings.samples, video_id)))


@dataclass(frozen=True)
class NamedFile:
    """A file that has the name of a clip, and what that says."""

    path: str
    video_id: int
    index: int


def named_as_clips(engine: Engine, dataset: Dataset, folder: Location) -> Iterator[list[NamedFile]]:
    """The files in a dataset's folder that are named after one of its videos, as clips are; a few
    at a time. None where sources lie in it.
    """
    if not is_own_folder(engine, folder):
        return
    root = to_text(str(folder))
    for chunk in chunks(files_below(folder)):
        names = {file: _NAME_OF_CLIP.fullmatch(file[0].removeprefix(root)) for file in chunk}
        named = {file: name for file, name in names.items() if name}
        ids = videos_by_stem(engine, dataset.id, list({n["stem"] for n in named.values()}))
        yield [
            NamedFile(path, ids[name["stem"]], int(name["index"]))
            for (path, _), name in named.items()
            if name["stem"] in ids
        ]


def leftover_clips(engine: Engine, dataset: Dataset, folder: Location) -> Iterator[list[NamedFile]]:
    """The files `named_as_clips` that no clip needs: there is no such clip, or it was
    dropped and its file given up.
    """
    for named in named_as_clips(engine, dataset, folder):
        given_up = ("dropped", False)
        known = clips_by_index(engine, [(file.video_id, file.index) for file in named])
        yield [
            file for file in named if known.get((file.video_id, file.index), given_up) == given_up
        ]


def chunks(files: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Files, CHUNK at a time."""
    iterator = iter(files)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk
