"""`manifest`: a table by which `curate rebuild` cuts the same clips from the same sources."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import curate
from curate.configs.errors import UsageError
from curate.configs.row_errors import MediaError
from curate.configs.schema import Column
from curate.db.selection import OF_SOURCE
from curate.export.format import Item, MediaFormat, Way
from curate.export.formats.parquet import Parquet, check_pyarrow
from curate.export.sources import sha256_of, trouble_of
from curate.tasks.borders import BORDER_BOX
from curate.tasks.bucket import Bucket
from curate.tasks.inputs.extensions import extension, is_image
from curate.tasks.storage.clip_paths import clip_path
from curate.tasks.storage.locations import Location, below
from curate.tasks.video.span import Span, access_of

# the columns of a manifest before those that an export usually has
COLUMNS = {
    "clip_id": Column("int", "id of the clip where it was exported"),
    "dataset": Column("text", "name of the dataset"),
    "file_name": Column("text", "path of the clip in the folder that it is rebuilt in"),
    "source": Column("text", "path or URL of the source where it was exported"),
    "source_relpath": Column("text", "its path below what was enqueued"),
    "source_sha256": Column("text", "SHA-256 of the source"),
    "source_bytes": Column("int", "bytes of the source"),
    "media_type": Column("text", "video or image"),
    "start_pts": Column("int", "presentation time stamp of the first frame"),
    "end_pts": Column("int", "presentation time stamp at which the clip has ended"),
    "time_base_num": Column("int", "numerator of the time base, seconds"),
    "time_base_den": Column("int", "denominator of the time base"),
    "access": Column("text", "how the first frame is reached: seek, walk or decode"),
    "source_frames": Column("int", "frames of the span as they are decoded"),
    "frames_sha256": Column("text", "SHA-256 of these frames, before anything is done to them"),
    "source_width": Column("int", "pixels of the source as displayed"),
    "source_height": Column("int", "pixels of the source as displayed"),
    "rotation": Column("int", "degrees clockwise to turn the stored picture for display"),
    "mirrored": Column("int", "1: after turning, left and right change places"),
    "sample_aspect_ratio": Column("text", "width : height of a stored pixel"),
    "stream_index": Column("int", "number of the video's stream in its file"),
    "codec": Column("text", "codec of the source"),
    "pixel_format": Column("text", "its pixels, as ffmpeg names them"),
    "transfer": Column("text", "its transfer characteristics"),
    "primaries": Column("text", "its colour primaries"),
    "cut_options": Column("text", "how the clip was cut, JSON; NULL: it was not"),
    "curate_version": Column("text", "the curate that wrote the manifest"),
    "decoder": Column("text", "what decoded the frames"),
}
# what an export usually has and a manifest has by itself, or not at all: paths of its own host
_LEFT_OUT = ("clip_id", "dataset", "path", "source", "start_pts", "end_pts")
_CLIP = ("video_id", "clip_index", "dataset", "start_pts", "end_pts")


class _Origin(NamedTuple):
    """What Item.more has: the columns of _CLIP, and those of the source."""

    video_id: int
    number: int  # of the clip in its video
    dataset: str
    start: int
    end: int
    source: Mapping[str, Any]

    @classmethod
    def of(cls, item: Item) -> _Origin:
        """That of a clip."""
        count = len(_CLIP)
        source = dict(zip(OF_SOURCE, item.more[count:], strict=True))
        return cls._make([*item.more[:count], source])

    @property
    def span(self) -> Span:
        """Where the clip is; a number of frames is not promised."""
        s = self.source
        base = Fraction(s["time_base_num"] or 1, s["time_base_den"] or 1)
        return Span(self.start, self.end, base, None, access_of(s["time_jumps"], s["seekable"]))


class Manifest(MediaFormat):
    """One Parquet file. Each source is read, and each clip's frames are decoded, to be hashed."""

    name = "manifest"
    reader = "curate rebuild"
    needs_text = False
    needs_file = False
    columns = "usual"
    placings = ()
    file = "manifest.parquet"
    part_clips = 50  # so that what a kill takes is done again in less than a minute

    def check(self, way: Way) -> None:
        """Raise PackageMissing without pyarrow, UsageError for a column that is another's name."""
        check_pyarrow()
        if taken := [n for n in way.names if n in COLUMNS and n not in _LEFT_OUT]:
            why = f"manifest has a column {taken[0]} of its own; leave yours out: --columns"
            raise UsageError(what=why)
        options = [json.loads(text) for text in way.cuts.values()]
        fitted = any(o.get("fit", "none") != "none" for o in options)
        if fitted and Bucket.name not in way.names:
            what = f"clips were cut to fit their buckets: --columns needs {Bucket.name} too"
            raise UsageError(what=what)
        if any(o.get("crop_borders") for o in options) and BORDER_BOX not in way.names:
            what = f"clips were cut without their bars: --columns needs {BORDER_BOX} too"
            raise UsageError(what=what)

    def needs(self, way: Way) -> Sequence[str]:
        """Where the clip is in its source, and what the source is."""
        return (*_CLIP, *(f"_source_{name}" for name in OF_SOURCE))

    def remark(self, line: Any) -> tuple[str, int] | None:
        """Clips whose source cannot be read as it was."""
        return (line[0], 1) if len(line) == 1 else None

    def lay(self, number: int, items: Sequence[Item], root: Location, way: Way) -> list[Any]:
        """Hash the sources and frames of the clips; nothing is written."""
        by_source: dict[int, list[_Origin]] = {}
        for item in items:
            origin = _Origin.of(item)
            by_source.setdefault(origin.video_id, []).append(origin)
        proofs: dict[tuple[int, int], list[Any]] = {}
        for video_id, origins in by_source.items():
            for origin, proof in _prove(origins):
                proofs[video_id, origin.number] = proof
        return [_line(item, _Origin.of(item), proofs, way) for item in items]

    def finish(self, laid: Iterable[Any], root: Location, way: Way) -> None:
        """Write the table."""
        more = [name for name in way.names if name not in _LEFT_OUT]
        kept = [at for at, name in enumerate(way.names) if name in more]
        wide = replace(way, names=(*COLUMNS, *more), kinds={**way.kinds, **COLUMNS})
        own = len(COLUMNS)
        rows = ([*ln[:own], *(ln[own + at] for at in kept)] for ln in laid if len(ln) > 1)
        Parquet().write(Path(below(root, self.file)), wide, rows)


@functools.lru_cache(maxsize=4096)
def _source_hash(path: str, fingerprint: str) -> str:
    return sha256_of(path)


def _prove(origins: Sequence[_Origin]) -> Iterable[tuple[_Origin, list[Any]]]:
    """For each clip of a source its SHA-256, and the number and hash of the clip's frames; or one
    reason why they cannot be told.
    """
    from curate.tasks.video.frame_hash import FrameHash, hash_image
    from curate.tasks.video.stretches import frames_of_spans

    path, fingerprint = origins[0].source["path"], origins[0].source["fingerprint"]
    if why := trouble_of(path, fingerprint):
        return [(origin, [why]) for origin in origins]
    found: dict[int, list[Any]] = {}
    try:
        sha256 = _source_hash(path, fingerprint)
        if is_image(path):
            return [(origin, [sha256, 1, hash_image(path)]) for origin in origins]
        ordered = sorted(origins, key=lambda o: (o.start, o.end))
        for place, _, frames in frames_of_spans(path, [origin.span for origin in ordered]):
            frame_hash = FrameHash()
            for frame in frames:
                frame_hash.add(frame)
            found[ordered[place].number] = [sha256, frame_hash.count, frame_hash.hexdigest()]
    except MediaError as error:
        why = f"are left out, and so may others of their source be: {error}"
        return [(origin, found.get(origin.number, [why])) for origin in origins]
    return [(origin, found[origin.number]) for origin in origins]


def _line(
    item: Item, origin: _Origin, proofs: Mapping[tuple[int, int], list[Any]], way: Way
) -> list[Any]:
    """A row: the values of COLUMNS, then those of `way.names`; or one reason why there is none."""
    from curate.tasks.video.frame_hash import decoder

    proof = proofs[origin.video_id, origin.number]
    if len(proof) == 1:
        return proof
    sha256, frames, frame_hash = proof
    s = origin.source
    name = str(clip_path(Path(origin.dataset), s["clip_stem"], origin.number))
    if is_image(s["path"]):
        name = name.removesuffix(".mp4") + extension(s["path"])
    row = {
        "clip_id": item.clip_id, "dataset": origin.dataset, "file_name": name,
        "source": s["path"], "source_relpath": s["relpath"], "source_sha256": sha256,
        "source_bytes": s["size_bytes"], "start_pts": origin.start, "end_pts": origin.end,
        "access": origin.span.access, "source_frames": frames, "frames_sha256": frame_hash,
        "source_width": s["width"], "source_height": s["height"],
        "cut_options": way.cuts.get(origin.dataset), "curate_version": curate.__version__,
        "decoder": decoder(),
    }  # fmt: skip
    return [*(row[n] if n in row else s[n] for n in COLUMNS), *item.values]
