"""What a format is: how clips, with their captions and columns, become what a trainer reads."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal, NamedTuple

from curate.configs.schema import Column
from curate.db.selection import CAPTION_FIELDS
from curate.export.files import Placing, place
from curate.tasks.inputs.extensions import is_image
from curate.tasks.storage.locations import Location, below

# columns that folders and shards need besides those that are asked for
NEEDED = ("clip_id", "path", "text", "width", "height", "fps", "num_frames")
A_FOLDER = 10_000  # clips in a folder of `videos/`: more are slow to list, and the Hub refuses them
MP4 = frozenset({".mp4"})


class Item(NamedTuple):
    """A clip to be exported: its id, its file and the bytes of that, what every format may need of
    it, and the values of the columns that are written.
    """

    clip_id: int
    file: str
    size: int
    text: str | None
    width: int | None
    height: int | None
    fps: float | None
    num_frames: int | None
    values: Sequence[Any]
    changed: int = 0  # when its file was, in nanoseconds; 0: not asked, as at a URL
    more: Sequence[Any] = ()  # what MediaFormat.needs names besides

    @property
    def key(self) -> str:
        """What its files are called: its id, in as many digits as keep a listing in order."""
        return f"{self.clip_id:09d}"

    @property
    def ending(self) -> str:
        """That of its file, in lower case: `.mp4`."""
        return PurePosixPath(self.file).suffix.lower()


class Laid(NamedTuple):
    """A clip that lies in the folder: the path of its file there, and what Item has besides."""

    video: str
    text: str
    width: int | None
    height: int | None
    fps: float | None
    num_frames: int | None
    values: Sequence[Any]


@dataclass(frozen=True)
class Way:
    """How it is to be written: by which names and kinds of columns, with which options.

    `files`: whether clips are linked, copied, or named where they are. `metadata` is the table of a
    videofolder. A shard ends before it has more than `shard_clips` clips or `shard_bytes` bytes.
    `final` is where the folder will be when it is whole. With `samples`, the place of these, clips
    get a thumbnail beside them. `cuts` has the options by which clips were cut, as JSON, by
    dataset.
    """

    names: Sequence[str]
    kinds: Mapping[str, Column]
    files: Placing = "link"
    metadata: Literal["parquet", "jsonl", "csv"] = "parquet"
    shard_clips: int = 10_000
    shard_bytes: int = 1 << 30
    final: str = ""
    samples: Location | None = None
    cuts: Mapping[str, str] = field(default_factory=dict)


class Format(ABC):
    """A name of `--to`. Formats that are one table derive from TableFormat, those of clips with
    their files from MediaFormat.
    """

    name: ClassVar[str]
    reader: ClassVar[str]  # who reads it: shown when the shell completes --to


class TableFormat(Format):
    """One file of rows, written anew each time."""

    ending: ClassVar[str]

    @abstractmethod
    def write(self, path: Path, way: Way, rows: Iterable[Sequence[Any]]) -> None:
        """Write all rows to a file. Raises OSError."""

    @abstractmethod
    def print(self, way: Way, rows: Iterable[Sequence[Any]]) -> None:
        """Write all rows to stdout."""

    def check(self) -> None:
        """Raise PackageMissing or ServiceError where it cannot be written on this host."""


class MediaFormat(Format):
    """A folder (or a URL) that holds clips, written a part at a time so that it can be resumed."""

    needs_text: ClassVar[bool] = True
    endings: ClassVar[frozenset[str] | None] = None  # of the files that its reader opens; None: any
    # which columns it writes besides its own: the usual or those asked for; only those; none at all
    columns: ClassVar[Literal["usual", "asked", "none"]] = "asked"
    placings: ClassVar[tuple[Placing, ...]] = ("link", "copy", "none")
    to_urls: ClassVar[bool] = False
    shards: ClassVar[bool] = False
    needs_file: ClassVar[bool] = True  # clips without a file of their own are left out
    file: ClassVar[str] = ""  # the one file in its folder, which takes the place of the folder
    part_clips: ClassVar[int] = 1000  # clips of a part, but for shards

    def refuses(self, item: Item, way: Way) -> str:
        """Why the format cannot hold a clip as it is, said of many: `have …`; empty: it can."""
        return ""

    def check(self, way: Way) -> None:
        """Raise UsageError or PackageMissing where it cannot be written so."""

    def needs(self, way: Way) -> Sequence[str]:
        """Columns that it needs of each clip besides NEEDED: `Item.more`."""
        return ()

    def remark(self, line: Any) -> tuple[str, int] | None:
        """What is to be told of a line that `lay` returned, said of many clips, and of how many."""
        return None

    def files_of(self, number: int) -> Sequence[str]:
        """The names of the files of a part of shards."""
        return ()

    @abstractmethod
    def lay(self, number: int, items: Sequence[Item], root: Location, way: Way) -> list[Any]:
        """Write a part, whole or not at all; return what `finish` must know of it, as JSON."""

    @abstractmethod
    def finish(self, laid: Iterable[Any], root: Location, way: Way) -> None:
        """Write what tells a reader that all is there, from what `lay` returned, in order."""


class FolderFormat(MediaFormat):
    """Clips below a local folder, and files that list them."""

    @abstractmethod
    def write(self, laid: Iterable[Laid], folder: Path, way: Way) -> None:
        """Write the files that list the clips."""

    def video(self, item: Item) -> str:
        """The path of a clip's file in the folder."""
        return f"videos/{item.clip_id // A_FOLDER:05d}/{item.key}{item.ending}"

    def beside(self, item: Item) -> Mapping[str, str]:
        """Small texts that lie beside the clip, by their path in the folder."""
        return {}

    def lay(self, number: int, items: Sequence[Item], root: Location, way: Way) -> list[Any]:
        """Link or copy the clips."""
        laid: list[Any] = []
        for item in items:
            video = item.file
            if way.files != "none":
                video = self.video(item)
                # the file of a still image is the user's own source: a link would let him change it
                how = "copy" if is_image(item.file) else way.files
                place(item.file, item.size, Path(below(root, video)), how)
            for name, text in self.beside(item).items():
                Path(below(root, name)).write_text(text, encoding="utf-8", newline="")
            of = (item.text, item.width, item.height, item.fps, item.num_frames, item.values)
            laid.append([video, *of])
        return laid

    def finish(self, laid: Iterable[Any], root: Location, way: Way) -> None:
        """Write the files that list the clips."""
        self.write((Laid(*line) for line in laid), Path(root), way)


# json.dumps would make an encoder a call
_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def finite(value: Any) -> Any:
    """The value, or None for a number that JSON lacks."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_object(names: Sequence[str], values: Iterable[Any]) -> dict[str, Any]:
    """A row for formats in JSON: the fields of a caption, a text elsewhere, are an object."""
    row = dict(zip(names, values, strict=True))
    if row.get(CAPTION_FIELDS):
        row[CAPTION_FIELDS] = json.loads(row[CAPTION_FIELDS])
    return row


def json_line(names: Sequence[str], values: Iterable[Any]) -> str:
    """One object on one line: NULL is null, and so is a number that JSON lacks."""
    row = json_object(names, values)
    try:
        return _ENCODE(row)
    except ValueError:
        return _ENCODE({name: finite(value) for name, value in row.items()})


def has_line_break(text: str) -> bool:
    """Whether any reader of lines would take a text for more than one, or cut a break off."""
    return len(text.splitlines()) > 1 or (bool(text) and text.splitlines()[0] != text)


LINE_BREAK = "have a caption with line breaks, which this format cannot hold"
