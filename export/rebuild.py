"""Cuts the clips of a manifest once more, and proves that their frames are those of before.

A clip appears in the folder only when the frames that it was made of have the hash of the
manifest, so the same command goes on where it was interrupted: what is there is proved.
"""

from __future__ import annotations

import errno
import functools
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, get_args

from pydantic import ValidationError

from curate.configs.errors import BadManifest, ExportThere, ServiceError
from curate.configs.row_errors import CutMismatch, FramesDiffer, MediaError, RowError, StageError
from curate.export.files import copy
from curate.export.formats.parquet import check_pyarrow
from curate.export.places import alone, read_text, write_text
from curate.export.sources import Found, Source, find_sources, sha256_of
from curate.tasks.borders import BORDER_BOX
from curate.tasks.bucket import Bucket
from curate.tasks.cut import CutOptions
from curate.tasks.inputs.paths import to_path, to_text
from curate.tasks.storage.locations import replacing
from curate.tasks.video.box import parse_box
from curate.tasks.video.buckets import parse_bucket
from curate.tasks.video.span import Access, Span

if TYPE_CHECKING:
    from av.video.stream import VideoStream

    from curate.tasks.video.frame_hash import Proof

MARK = ".curate-rebuild.json"  # of which manifest the clips in the folder are
MOST_PTS, MOST_BASE = 2**63 - 1, 2**31 - 1  # what decoders hold
LONGEST = 3000  # bytes of the name of a clip: a whole path has 4096
TOGETHER = 100  # clips of a source that are decoded in one go, at most


class Planned(NamedTuple):
    """What rebuilding a clip needs: columns of the manifest."""

    file_name: str
    source: str
    source_sha256: str
    source_bytes: int
    media_type: str
    start_pts: int
    end_pts: int
    time_base_num: int
    time_base_den: int
    access: Access
    source_frames: int
    frames_sha256: str
    cut_options: str | None
    bucket: str | None = None  # of a manifest whose clips have one
    border_box: str | None = None  # likewise

    @property
    def origin(self) -> Source:
        """Its source."""
        return Source(self.source_sha256, self.source_bytes, self.source)

    @property
    def span(self) -> Span:
        """Where it is in its source."""
        base = Fraction(self.time_base_num, self.time_base_den)
        return Span(self.start_pts, self.end_pts, base, self.source_frames, self.access)


@dataclass
class Remark:
    """What is to be told of a source, about so many of its clips.

    missing: nothing has its bytes or its name. differs: what has its name holds other frames.
    failed: it is there, but its clips cannot be cut or proved here. equal: its bytes are others,
    and the frames of these clips are not: they were rebuilt.
    """

    source: str
    state: str
    found: str = ""
    why: str = ""
    clips: int = 0


@dataclass
class Rebuilt:
    """What became of the clips of a manifest; those that are neither were not rebuilt."""

    clips: int = 0
    written: int = 0
    there: int = 0  # already
    remarks: dict[tuple[str, str], Remark] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """The clips that were not rebuilt."""
        return self.clips - self.written - self.there

    def add(self, source: Source, state: str, found: str = "", why: str = "") -> None:
        """Count a clip of which there is something to be told."""
        key = source.sha256, state
        remark = self.remarks.setdefault(key, Remark(source.path, state, found, why))
        remark.clips += 1


@dataclass
class Rebuild:
    """Rebuilds the clips of `manifest` in `folder` from sources in `places`: folders, files, URLs.

    `looked` is called with the sources found so far, `report` with the clips done; both with how
    many there are.
    """

    manifest: Path
    places: Sequence[str]
    folder: Path
    looked: Callable[[int, int], None] = lambda found, of: None
    report: Callable[[int, int], None] = lambda done, of: None

    def run(self) -> Rebuilt:
        """Rebuild what is not there yet. Raises BadManifest, ExportThere, NoSuchFile, UsageError,
        ServiceError.
        """
        of = {"manifest": sha256_of(to_text(str(self.manifest.absolute())))}
        count = self._look_at_rows()
        with alone(self.folder):
            self._take_folder(of)
            wanted = {
                row.source_sha256: row.origin
                for row in self._rows()
                if not self._target(row).exists()
            }
            found: dict[str, Found] = {}
            if wanted:
                found = find_sources(wanted, self.places, self.looked)
            done = Rebuilt()
            by_source = itertools.groupby(self._rows(), key=lambda row: row.source_sha256)
            for sha256, rows in by_source:
                while some := list(itertools.islice(rows, TOGETHER)):
                    done.clips += len(some)
                    left = [row for row in some if not self._target(row).exists()]
                    done.there += len(some) - len(left)
                    if left:
                        self._rebuild(left, left[0].origin, found.get(sha256), done)
                    self.report(done.clips, count)
        return done

    def _take_folder(self, mark: dict[str, str]) -> None:
        """Take an empty folder, or one that holds clips of this manifest. Raises ExportThere."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / MARK
        if place.exists():
            if json.loads(read_text(place)) != mark:
                raise ExportThere(target=self.folder, what="holds clips of another manifest")
        elif any(self.folder.iterdir()):
            raise ExportThere(target=self.folder, what="holds other files")
        for part in self.folder.rglob(".*.part"):  # temporary files of who was killed
            part.unlink()
        write_text(place, json.dumps(mark) + "\n")

    def _look_at_rows(self) -> int:
        """How many rows the manifest has; nothing is wrong with any. Raises BadManifest,
        PackageMissing.
        """
        check_pyarrow("Reading a manifest")
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(self.manifest) as table:
                has = table.schema_arrow.names
                needed = [n for n in Planned._fields if n not in Planned._field_defaults]
                lacking = [name for name in needed if name not in has]
                if lacking:
                    raise BadManifest(path=self.manifest, why=f"it has no column {lacking[0]}")
            names, count = _Names(), 0
            for count, row in enumerate(self._rows(), 1):
                if why := _wrong(row) or names.clash(row.file_name):
                    raise BadManifest(path=self.manifest, why=f"row {count}: {why}")
            return count
        except (OSError, UnicodeDecodeError, pyarrow.ArrowException) as error:
            why = str(error).strip().splitlines()[0]
            raise BadManifest(path=self.manifest, why=why) from error

    def _rows(self) -> Iterator[Planned]:
        """The rows of the manifest, in order."""
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(self.manifest) as table:
            names = [name for name in Planned._fields if name in table.schema_arrow.names]
            for batch in table.iter_batches(1000, columns=names):
                columns = [batch.column(name).to_pylist() for name in names]
                yield from (Planned(*row) for row in zip(*columns, strict=True))

    def _target(self, row: Planned) -> Path:
        """Where a clip will be."""
        return self.folder / row.file_name

    def _rebuild(
        self, rows: Sequence[Planned], source: Source, found: Found | None, done: Rebuilt
    ) -> None:
        """Rebuild clips of one source, and count what becomes of them."""
        if found is None:
            for _ in rows:
                done.add(source, "missing")
            return
        for row, error in self._cut(rows, found):
            again = error
            if error and found.same and len(rows) > 1:  # it may have come from a clip before it
                (_, again), *_ = self._cut([row], found)
            if again is None:
                done.written += 1
                if not found.same:
                    done.add(source, "equal", found.path)
            elif found.same:
                done.add(source, "failed", found.path, str(again))
            else:
                done.add(source, "differs", found.path, _why(again))

    def _cut(
        self, rows: Sequence[Planned], found: Found
    ) -> Iterator[tuple[Planned, RowError | None]]:
        """Cut clips of one source; each with the error of one that cannot be cut, or whose frames
        are others. Raises ServiceError.
        """
        from av.error import FFmpegError

        from curate.tasks.video.frame_hash import Proof
        from curate.tasks.video.stretches import frames_of_spans

        of_videos = []
        for row in rows:
            if row.media_type == "image":
                yield row, self._copy_image(row, found.path)
            else:
                of_videos.append(row)
        if not of_videos:
            return
        ordered = sorted(of_videos, key=lambda row: (row.start_pts, row.end_pts))
        spans = [row.span for row in ordered]
        told = 0
        try:
            for place, stream, frames in frames_of_spans(found.path, spans):
                row = ordered[place]
                proof = Proof(frames, row.frames_sha256, found.path)
                yield row, self._write(row, found.path, proof, stream)
                told += 1
        except (MediaError, StageError) as error:
            yield from ((row, error) for row in ordered[told:])
        except FFmpegError as error:
            if error.errno == errno.ENOSPC:
                raise ServiceError(what=self.folder, why=error.strerror) from error
            failed = MediaError(path=found.path, why=error)
            yield from ((row, failed) for row in ordered[told:])

    def _write(
        self, row: Planned, source: str, proof: Proof, stream: VideoStream
    ) -> RowError | None:
        """Write a clip if its frames are those of the manifest."""
        from curate.tasks.video.copying import copy_span
        from curate.tasks.video.encode import encode_span
        from curate.tasks.video.whole_gops import is_whole

        options = _options(row.cut_options)
        target = self._target(row)
        try:
            how = options.target(row.bucket, row.border_box)
            whole = options.mode == "smart" and is_whole(source, row.span, how)
            if whole or options.mode == "copy":
                proof.check()
                copy_span(target, source, row.span, options.audio)
                return None
            sound = source if options.audio else None
            with replacing(target) as temporary:
                encode_span(temporary, proof, stream, row.span, how, sound)
                proof.check()
        except RowError as error:
            return error
        return None

    def _copy_image(self, row: Planned, source: str) -> RowError | None:
        """Copy a still image if its pixels are those of the manifest."""
        from curate.tasks.video.frame_hash import hash_image

        try:
            if hash_image(source) != row.frames_sha256:
                return FramesDiffer(source=source)
            with replacing(self._target(row)) as temporary:
                copy(to_path(source), temporary)
        except RowError as error:
            return error
        return None


def _why(error: RowError) -> str:
    """Why a file that has the name of a source is not it."""
    if isinstance(error, FramesDiffer | CutMismatch):
        return "its frames are others"
    return str(error)


@functools.lru_cache(maxsize=64)
def _options(text: str | None) -> CutOptions:
    """How a clip is cut; one that was not, by the defaults. Raises ValueError."""
    return CutOptions.model_validate_json(text or "{}")


def _wrong(row: Planned) -> str:
    """What is wrong with a row by itself; empty: nothing."""
    values = row._asdict()
    for name in ("file_name", "source", "source_sha256", "frames_sha256"):
        text = values[name]
        if not isinstance(text, str) or not text:
            return f"its {name} is no text"
        if "\0" in text:
            return f"its {name} is {text!r}"
    for name in ("cut_options", Bucket.name, BORDER_BOX):
        if not isinstance(values[name], str | None):
            return f"its {name} is no text"
    numbers = {"start_pts": -MOST_PTS, "end_pts": -MOST_PTS}
    if row.media_type != "image":
        numbers |= {"time_base_num": 1, "time_base_den": 1, "source_frames": 1}
        if row.access not in get_args(Access):
            return f"its access is {row.access!r}"
    for name, least in numbers.items():
        most = MOST_BASE if name.startswith("time_base") else MOST_PTS
        if not isinstance(values[name], int) or not least <= values[name] <= most:
            return f"its {name} is {values[name]!r}"
    if not PurePosixPath(row.source).name:
        return f"its source is {row.source!r}"
    try:
        options = _options(row.cut_options)
        if options.fit != "none" and row.bucket:
            parse_bucket(row.bucket)
        if options.crop_borders and row.border_box:
            parse_box(row.border_box)
    except ValueError as error:
        unknown = isinstance(error, ValidationError)
        return f"{'its cut_options are not known here: ' * unknown}{' '.join(str(error).split())}"
    return ""


class _Names:
    """The names of clips in a folder."""

    def __init__(self) -> None:
        self._files = {MARK}
        self._folders: set[str] = set()

    def clash(self, name: str) -> str:
        """Why no file can have this name besides those of before; empty: it can."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            return f"the file_name {name} leads out of the folder"
        if len(name.encode()) > LONGEST or any(len(part.encode()) > 255 for part in path.parts):
            return f"the file_name {name[:40]}… is too long"
        folders = [str(folder) for folder in path.parents][:-1]
        if str(path) in self._files:
            return f"the file_name {name} is taken"
        if str(path) in self._folders or not self._files.isdisjoint(folders):
            return f"the file_name {name} is that of a file and of a folder"
        self._files.add(str(path))
        self._folders.update(folders)
        return ""
