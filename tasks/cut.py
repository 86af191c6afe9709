"""Cuts the remaining clips into MP4 files, each with exactly its planned frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field, model_validator

from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline
from curate.configs.schema import Column, StageOptions
from curate.tasks.borders import BORDER_BOX, Borders
from curate.tasks.bucket import Bucket, BucketOptions
from curate.tasks.inputs.paths import to_text
from curate.tasks.stage import BatchStage, Clip, Outcome, Scores, Video
from curate.tasks.storage.clip_paths import clip_path
from curate.tasks.storage.locations import Location
from curate.tasks.video.box import parse_box
from curate.tasks.video.buckets import parse_bucket
from curate.tasks.video.picture_options import Deinterlace, Hdr, refuse_hdr

if TYPE_CHECKING:
    from curate.tasks.video.encode import Target, WrittenClip


# columns in which a clip that fits its bucket differs from its span, besides its end
_FITTED = ("num_frames", "fps", "width", "height", "aspect_ratio", "resolution", "seconds")


class CutOptions(StageOptions):
    """Options of `cut`."""

    batch_size: int = Field(8, ge=1, le=4096, description="rows claimed by one task")
    time_limit: float = Field(
        1800, gt=0, le=7 * 86400, description="seconds a batch may take before it is stopped"
    )
    mode: Literal["smart", "encode", "copy"] = Field(
        "smart",
        description="encode: exact frames, H.264 8-bit 4:2:0, upright, square pixels; smart: the "
        "same, but clips whose packets show just their frames, in that form, are copied, without "
        "loss and at almost no cost; copy: the source's packets from the keyframe before, "
        "interlaced, HDR or damaged as they are, may show a few frames too many at the end",
    )
    crf: int = Field(
        23,
        ge=0,
        le=51,
        description="x264 quality; lower is better and larger; 18 is close to the source",
    )
    preset: Literal[
        "balanced",
        "ultrafast",
        "superfast",
        "veryfast",
        "faster",
        "fast",
        "medium",
        "slow",
        "slower",
        "veryslow",
    ] = Field(
        "balanced",
        description="of x264, slower is smaller at the same quality; balanced: superfast with a "
        "lookahead, as small as veryfast for three fifths of its CPU",
    )
    target_fps: float | None = Field(
        None,
        gt=0,
        le=240,
        description="frames a second, by leaving out and repeating frames; null: as the source",
    )
    shorter_size: int | None = Field(
        None,
        ge=16,
        le=8192,
        description="pixels of the shorter side, never enlarged; null: as the source",
    )
    fit: Literal["none", "crop", "pad"] = Field(
        "none",
        description="crop, pad: a clip with a bucket gets its size, by cutting away what is "
        "outside or by black bars, and its number of frames, the first ones; none: it stays whole",
    )
    crop_borders: bool = Field(
        False, description="cut away the bars that the stage borders found; NULL: nothing"
    )
    audio: bool = Field(False, description="keep the sound, as AAC")
    deinterlace: Deinterlace = "auto"
    hdr: Hdr = "tonemap"

    def target(self, bucket: str | None, border_box: str | None) -> Target:
        """How a clip of a bucket, or of none, is encoded; `border_box` is the column."""
        from curate.tasks.video.encode import Box, Target

        fps = Fraction(self.target_fps).limit_denominator(1001) if self.target_fps else None
        deinterlace, tone_map = self.deinterlace == "auto", self.hdr == "tonemap"
        target = Target(self.crf, self.preset, fps, self.shorter_size, deinterlace, tone_map)
        if self.crop_borders and border_box:
            target = replace(target, inside=even_box(parse_box(border_box)))
        if self.fit == "none" or not bucket:
            return target
        height, width, count = parse_bucket(bucket)
        return replace(target, box=Box(width, height, count, self.fit))

    @model_validator(mode="after")
    def _go_together(self) -> CutOptions:
        if self.mode == "copy" and self.changing:
            raise ValueError("mode copy cannot change the frame rate or size; use mode encode")
        if self.fit != "none" and self.shorter_size is not None:
            raise ValueError(f"fit {self.fit} gives clips their size; leave out shorter_size")
        return self

    @property
    def changing(self) -> list[str]:
        """The options by which files differ from the spans in their frames or size."""
        fits = ["fit"] if self.fit != "none" else []
        fits += ["crop_borders"] if self.crop_borders else []
        others = ("target_fps", "shorter_size")
        return fits + [name for name in others if getattr(self, name) is not None]


class Cut(BatchStage[Clip, CutOptions]):
    """Writes each clip to ``<clips>/<dataset>/<clip_stem>_scene-<index>.mp4``.

    An older file of that name is replaced. The folder is named after the dataset, with -2, -3, …
    where another one has the name; datasets made before schema 0009 keep their id as its name.
    clip_stem is the source's path below what was enqueued, without its ending; of a.mp4 and a.mov
    the later one keeps it. A file that lies elsewhere goes below ``_root`` or ``_<scheme>``. Still
    images are not cut, nor fitted to a bucket: their path is the source's.
    """

    name = "cut"
    level = "clip"
    comes_last = True
    opens_source = True
    stops_at_once = True
    imports = ("curate.tasks.video.encode", "curate.tasks.video.stretches")
    Options = CutOptions
    columns = {
        "path": Column(
            "text",
            "absolute path or URL of the clip's file; in a path bytes that are not UTF-8 as %XX",
        ),
        "file_size": Column("int", "bytes of the clip's file", 0),
        "copied": Column(
            "int", "1: packets of the source, 0: encoded; NULL: mode is not smart", 0, 1
        ),
        # split wrote these; cut writes them again where the file differs from the planned span
        "num_frames": Column("int", "frames of the clip", 1),
        "fps": Column("float", "frames a second, average over the clip; NULL for an image", 0),
        "width": Column("int", "pixels as displayed", 1),
        "height": Column("int", "pixels as displayed", 1),
        "aspect_ratio": Column("float", "height / width", 0),
        "resolution": Column("int", "height * width", 1),
        "end_seconds": Column(
            "float", "end, from the first frame of the video: start of the first frame after it", 0
        ),
        "seconds": Column("float", "length; NULL for an image", 0),
    }

    @classmethod
    def check_before(cls, options: Any, before: Pipeline) -> None:
        """Raise ConfigError when clips shall fit buckets that no stage before writes, or that count
        frames at another rate.
        """
        if options.crop_borders and Borders.name not in before.by_name:
            why = f"crop_borders goes by the stage {Borders.name}; put it before {cls.name}"
            raise ConfigError(source=f"of stage {cls.name}", why=why, option="crop_borders")
        if options.fit == "none":
            return
        name, why, option = Bucket.name, "", "fit"
        if name not in before.by_name:
            why = f"fit {options.fit} brings clips to their bucket; put the stage {name} before it"
        else:
            rates = options.target_fps, cast(BucketOptions, before.by_name[name].options).fps
            if rates[0] != rates[1]:
                option = "target_fps"
                here, there = ("null" if rate is None else f"{rate:g}" for rate in rates)
                why = f"target_fps is {here}, and {name}.fps {there}; set both alike"
        if why:
            raise ConfigError(source=f"of stage {cls.name}", why=why, option=option)

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome]:
        """Outcomes in the order of `rows`. A stretch of video that several clips share is decoded
        once.
        """
        outcomes: dict[int, Outcome] = {}
        ordered = sorted(rows, key=lambda c: (c.video.id, c.start_pts, c.end_pts))
        for _, group in groupby(ordered, key=lambda c: c.video.id):
            clips = list(group)
            video = clips[0].video
            if video.values.get("media_type") == "image":
                size = video.values.get("size_bytes")
                image = {"path": video.path, "file_size": None if size is None else int(size)}
                outcomes |= {clip.id: Outcome(image) for clip in clips}
                continue
            if self.options.hdr == "fail":
                refuse_hdr(video, self.name)
            outcomes |= {clip.id: Outcome(scores) for clip, scores in self._write(video, clips)}
        return [outcomes[clip.id] for clip in rows]

    def _write(self, video: Video, clips: list[Clip]) -> Iterator[tuple[Clip, Scores]]:
        """Write the clips of a video; each with the columns of its file."""
        if self.options.mode != "smart":
            write = self._copy if self.options.mode == "copy" else self._encode
            for clip, scores in write(video, clips):
                by_smart = clip.values.get("copied") is not None  # before a redo in another mode
                yield clip, {**scores, "copied": None} if by_smart else scores
            return
        whole = self._whole(video, clips)
        others = [clip for clip in clips if clip not in whole]
        for write, part, copied in ((self._copy, whole, 1), (self._encode, others, 0)):
            for clip, scores in write(video, part) if part else ():
                yield clip, {**scores, "copied": copied}

    def _whole(self, video: Video, clips: list[Clip]) -> list[Clip]:
        """The clips of which a copy is what encoding would write."""
        from curate.tasks.video.whole_gops import is_whole

        keyframes = set(json.loads(video.values.get("keyframes") or "[]"))
        return [
            clip
            for clip in clips
            if clip.start_pts in keyframes and is_whole(video.path, clip.span, self._target(clip))
        ]

    def _target(self, clip: Clip) -> Target:
        return self.options.target(clip.values.get(Bucket.name), clip.values.get(BORDER_BOX))

    def _copy(self, video: Video, clips: list[Clip]) -> Iterator[tuple[Clip, Scores]]:
        from curate.tasks.video.copying import copy_span

        for clip in clips:
            path = clip_path(self.context.clips, video["clip_stem"], clip.index)
            written = copy_span(path, video.path, clip.span, self.options.audio)
            yield clip, _scores(path, written, ("num_frames", "fps"))

    def _encode(self, video: Video, clips: list[Clip]) -> Iterator[tuple[Clip, Scores]]:
        from curate.tasks.video.encode import encode_span
        from curate.tasks.video.stretches import frames_of_spans

        o = self.options
        # columns in which the file may differ from the planned span; smart writes those of a copy,
        # so that one statement saves both
        counts = o.target_fps or o.mode == "smart"
        changed: tuple[str, ...] = ("num_frames", "fps") if counts else ()
        if o.shorter_size or o.crop_borders:
            changed += ("width", "height", "aspect_ratio", "resolution")
        sound = video.path if o.audio else None
        spans = [clip.span for clip in clips]
        if o.target_fps:  # of a clip that was cut before, num_frames is that of its file
            cut_before = [clip.values.get("path") is not None for clip in clips]
            spans = [
                replace(s, frames=None) if b else s for s, b in zip(spans, cut_before, strict=True)
            ]
        by_decoding = spans[0].access == "decode"
        keyframes = [] if by_decoding else json.loads(video.values.get("keyframes") or "[]")
        for place, stream, frames in frames_of_spans(video.path, spans, keyframes):
            clip = clips[place]
            path = clip_path(self.context.clips, video["clip_stem"], clip.index)
            own = self.context.counted(clip, frames)
            target = self._target(clip)
            written = encode_span(path, own, stream, spans[place], target, sound)
            scores = _scores(path, written, _FITTED if target.box else changed)
            if target.box:
                scores["end_seconds"] = clip["start_seconds"] + written.seconds
            yield clip, scores


def even_box(box: Sequence[int]) -> tuple[int, int, int, int]:
    """The largest box of even sides at even places within one: x, y, width and height.

    4:2:0 has a sample of the colour for each two pixels.
    """
    x, y = (place + place % 2 for place in box[:2])
    width, height = (
        max(2, (start + side - even) // 2 * 2)
        for start, side, even in zip(box[:2], box[2:], (x, y), strict=True)
    )
    return x, y, width, height


def _scores(path: Location, written: WrittenClip, changed: Iterable[str]) -> dict[str, Any]:
    """The path and size of a written clip, and those of its measures that `changed` names."""
    measures = {
        "num_frames": written.num_frames,
        "fps": written.fps,
        "width": written.width,
        "height": written.height,
        "aspect_ratio": written.height / written.width,
        "resolution": written.height * written.width,
        "seconds": written.seconds,
    }
    columns = {name: measures[name] for name in changed}
    return {"path": to_text(str(path)), "file_size": written.file_size, **columns}
