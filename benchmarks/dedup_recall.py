"""How many edited copies `dedup` finds, by kind of edit, and how many clips that are no copies.

    python benchmarks/dedup_recall.py [FOLDER] [--clips 40] [--seconds 6] [--threshold 10]
    [--views none mirror all] [--kinds mirror crop_80 ...]

FOLDER holds videos; without one, four are drawn. They are split with the default options, but no
clip may last more than `seconds`; `clips` of what is found, evenly chosen, become the originals:
files of their own, 480 pixels wide. Each kind of edit makes a copy of each original, which goes
through split and dedup as one clip, after all originals. It counts as found when it is a duplicate,
and as right when it is one of its own original. Copies of originals that are duplicates themselves
are not counted: they are compared with another clip, to which they may be less near.

An original that is a duplicate of another video's clip is a false match. Duplicates among the clips
of one video are counted apart, because a fixed camera shows the same for long. Costs are CPU
milliseconds of this process. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.filter import Graph
from av.video.frame import PictureType, VideoFrame

from curate.configs.pipeline import Pipeline, parse
from curate.configs.settings import Settings
from curate.tasks.dedup import Dedup, DedupOptions
from curate.tasks.inputs.extensions import VIDEO_EXTENSIONS
from curate.tasks.registry import stages
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, NewClip, Video
from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.hamming import popcount
from curate.tasks.video.view_table import frame_distances
from curate.tasks.video.views import decode_views

VIEWS = ("none", "mirror", "all")
ONE_CLIP = {"min_seconds": 0.1, "max_seconds": None, "detector": "stride", "stride_seconds": 86400}
SOURCES = (
    "mandelbrot",
    "testsrc2",
    "life=mold=10:ratio=0.1:life_color=#c83:mold_color=#264",
    "rgbtestsrc",
)
CORNER = "drawbox=x=iw*0.77:y=ih*0.04:w=iw*0.2:h=ih*0.1:color=white@0.8:t=fill"
TRIM = "trim=start=1,setpts=PTS-STARTPTS"

# filters of ffmpeg by kind of edit; all are encoded again
KINDS = {
    "again_crf35": "null",
    "half_size": "scale=iw/4*2:-2",
    "brighter": "lutyuv=y=val*1.15+8",
    "mirror": "hflip",
    "mark_corner": CORNER,
    "mark_large": "drawbox=x=iw*0.03:y=ih*0.77:w=iw*0.3:h=ih*0.2:color=black:t=fill",
    "crop_90": "crop=iw*0.9:ih*0.9",
    "crop_80": "crop=iw*0.8:ih*0.8",
    "crop_70": "crop=iw*0.7:ih*0.7",
    "crop_80_corner": "crop=iw*0.8:ih*0.8:0:0",
    "trim_1s": TRIM,
    "trim_0.4s": "trim=start=0.4,setpts=PTS-STARTPTS",
    "faster_1.25": "setpts=PTS/1.25",
    "letterbox": "pad=iw:ih*4/3:0:(oh-ih)/2",
    "mirror_crop_80": "hflip,crop=iw*0.8:ih*0.8",
    "mirror_mark_trim": f"hflip,{CORNER},{TRIM}",
}


@dataclass(frozen=True)
class Original:
    """A clip of the footage as a file of its own, and the video it is from."""

    path: Path
    video: str


def encode(frames: Iterable[VideoFrame], filters: str, crf: int, path: Path) -> Path:
    """Write frames to a video through a chain of ffmpeg's filters; sizes are made even."""
    chain = f"{filters},scale=trunc(iw/2)*2:trunc(ih/2)*2,format=yuv420p,buffersink"
    parts = [part.partition("=") for part in chain.split(",")]
    frames = iter(frames)
    first = next(frames)
    graph, stream = Graph(), None
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=first.time_base
    )
    steps = [graph.add(name, words or None) for name, _, words in parts]
    graph.link_nodes(source, *steps).configure()
    with av.open(str(path), "w") as output:
        for frame in itertools.chain([first], frames, [None]):
            graph.push(frame)
            for filtered in pulled(graph):
                stream = stream or add_stream(output, filtered, crf)
                filtered.pict_type = PictureType.NONE
                output.mux(stream.encode(filtered))
        if stream is not None:
            output.mux(stream.encode(None))
    return path


def add_stream(output: OutputContainer, frame: VideoFrame, crf: int) -> av.VideoStream:
    """A stream for frames like this one."""
    options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
    stream = output.add_stream("libx264", rate=25, options=options)
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
    stream.codec_context.time_base = frame.time_base
    return stream


def pulled(graph: Graph) -> Iterator[VideoFrame]:
    """The frames that a graph has ready."""
    with suppress(BlockingIOError, av.EOFError):
        while True:
            frame = graph.pull()
            assert isinstance(frame, VideoFrame)
            yield frame


def frames_of(path: Path, start: float = 0, end: float = math.inf) -> Iterator[VideoFrame]:
    """The frames of a file from one time to another, in seconds from its first frame; times from 0
    on.
    """
    with open_media(str(path)) as container:
        stream = video_stream(container)
        first: int | None = None
        for frame in decode(container, stream):
            pts = frame.pts or 0
            first = pts if first is None else first
            seconds = float((pts - first) * (stream.time_base or 1))
            if seconds >= end:
                return
            if seconds >= start:
                frame.pts = pts - first - round(start / (stream.time_base or 1))
                yield frame


def draw(folder: Path) -> Path:
    """Four videos of 12 s, drawn by filters of ffmpeg."""
    folder.mkdir()
    for number, source in enumerate(SOURCES):
        graph = Graph()
        name, _, words = source.partition("=")
        size = "size=480x270:rate=25"
        drawn = graph.add(name, f"{words}:{size}" if words else size)
        graph.link_nodes(drawn, graph.add("buffersink")).configure()
        frames = itertools.islice(pulled(graph), 12 * 25)
        encode(frames, "null", 18, folder / f"{number}.mp4")
    return folder


class Recall:
    """Originals and their copies, split and ready to be compared."""

    def __init__(self, work: Path, threshold: int) -> None:
        self._work = work
        self._threshold = threshold
        self._settings = Settings(home=work / "home")
        self._ids = iter(range(1, 1_000_000))

    def originals(self, folder: Path, number: int, seconds: float) -> list[Original]:
        """The clips of a folder's videos as files: at most `number`, evenly chosen."""
        spans = [
            (path, clip)
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in VIDEO_EXTENSIONS
            for clip in self.split(path, max_seconds=seconds)
        ]
        chosen = spans[:: -(-len(spans) // number)]
        files = []
        for n, (path, clip) in enumerate(chosen):
            start, end = clip.scores["start_seconds"], clip.scores["end_seconds"]
            frames = frames_of(path, float(start), float(end))  # type: ignore[arg-type]
            encode(frames, "scale=480:-2", 18, output := self._work / f"{n:04}.mp4")
            files.append(Original(output, path.name))
        return files

    def split(self, path: Path, views: str = "all", **options: Any) -> Sequence[NewClip]:
        """The clips of a file, with all that dedup compares by a setting of `views`."""
        steps: list[dict[str, Any]] = [
            {"stage": "probe"},
            {"stage": "split", **options},
            {"stage": "dedup", "views": views},
        ]
        pipeline: Pipeline = parse(steps, stages(), "benchmark")
        stage = Split(pipeline.by_name["split"].options, Context(self._settings, pipeline))  # type: ignore[arg-type]
        return stage.run(Video(next(self._ids), 1, str(path), path.name, {})).clips

    def clip(self, path: Path, video: str) -> Clip:
        """A file as one clip, of the video that it is from."""
        (found,) = self.split(path, **ONE_CLIP)
        number = next(self._ids)
        source = Video(number, 1, video, video, {})
        return Clip(number, 1, 0, source, 0, 1, Fraction(1), dict(found.scores), self._work)

    def copies(self, original: Original, kinds: Sequence[str]) -> dict[str, Clip]:
        """Edited copies of an original by kind, each as one clip."""
        frames, path = list(frames_of(original.path)), self._work / "copy.mp4"
        copies = {}
        for kind in kinds:
            encode(frames, KINDS[kind], 35 if kind == "again_crf35" else 23, path)
            copies[kind] = self.clip(path, original.video)
        return copies

    def compare(
        self, clips: Sequence[Clip], copies: Sequence[Mapping[str, Clip]], views: Any
    ) -> dict[str, Any]:
        """What one setting of `views` finds of the copies of each clip."""
        options = DedupOptions(views=views, threshold=self._threshold)
        dedup = Dedup(options, Context(self._settings))
        started = time.process_time()
        outcomes = [dict(outcome.scores) for outcome in dedup.run_batch(clips)]
        dedup.recall([{"id": c.id, **c.values, **o} for c, o in zip(clips, outcomes, strict=True)])
        originals = [o["duplicate_of"] for o in outcomes]
        video_of = {clip.id: clip.video.path for clip in clips}
        false = [
            video_of[of] != clip.video.path for clip, of in zip(clips, originals, strict=True) if of
        ]
        survivors = [n for n, of in enumerate(originals) if of is None]
        found, right = {}, {}
        for kind in copies[0]:
            matches = [dedup.run(copies[n][kind]).scores["duplicate_of"] for n in survivors]
            found[kind] = sum(match is not None for match in matches) / len(survivors)
            right[kind] = sum(m == clips[n].id for m, n in zip(matches, survivors, strict=True))
            right[kind] /= len(survivors)
        compared = len(clips) + len(survivors) * len(copies[0])
        return {
            "survivors": len(survivors),
            "found": found,
            "right": right,
            "false_other_video": sum(false),
            "same_video": len(false) - sum(false),
            "search_ms": (time.process_time() - started) / compared * 1000,
        }

    def costs(self, originals: Sequence[Original]) -> dict[str, float]:
        """CPU ms a clip: of a bare decode, and of split by each setting of `views`."""

        def bare(path: Path) -> None:
            with open_media(str(path)) as container:
                for _ in decode(container, video_stream(container)):
                    pass

        works: dict[str, Callable[[Path], Any]] = {
            "decode_ms": bare,
            **{
                f"split_{views}_ms": partial(self.split, views=views, **ONE_CLIP) for views in VIEWS
            },
        }
        spent = dict.fromkeys(works, 0.0)
        for original in originals:  # in turns, as other work on the machine comes and goes
            rounds = [
                {name: cpu_ms(work, original.path) for name, work in works.items()}
                for _ in range(3)
            ]
            for name in works:
                spent[name] += min(times[name] for times in rounds) / len(originals)
        return spent


def cpu_ms(work: Callable[[Path], Any], path: Path) -> float:
    """CPU milliseconds that work on a file takes."""
    started = time.process_time()
    work(path)
    return (time.process_time() - started) * 1000


def chance(clips: Sequence[Clip], threshold: int) -> dict[str, float]:
    """How often two pictures that have nothing in common lie within the threshold.

    `formula`: for one pair of even, independent bits; `drawn`: the same of words drawn by chance;
    `footage`: for frames of clips of different videos, in any relation, mirrored or not.
    """
    bits = sum(math.comb(63, k) for k in range(threshold + 1)) / 2**63
    words = np.random.default_rng(1).integers(0, 2**63, (2, 2_000, 1), np.uint64)
    drawn = popcount(words[0] ^ words[1].T) <= threshold
    frames = [np.concatenate(decode_views(clip["hash_views"])) for clip in clips]
    pairs = within = 0
    for a, b in itertools.combinations(range(len(clips)), 2):
        if clips[a].video.path != clips[b].video.path:
            distances = frame_distances(frames[a], frames[b]).min(axis=(0, 3))
            pairs += distances.size
            within += int((distances <= threshold).sum())
    return {"formula": bits, "drawn": float(drawn.mean()), "footage": within / max(1, pairs)}


def main() -> None:
    """Draw the copies, measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="a folder of videos")
    parser.add_argument("--clips", type=int, default=40, help="originals")
    parser.add_argument("--seconds", type=float, default=6, help="most of an original")
    parser.add_argument("--threshold", type=int, default=10, help="bits that may differ")
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=VIEWS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        recall = Recall(work, asked.threshold)
        originals = recall.originals(
            asked.folder or draw(work / "drawn"), asked.clips, asked.seconds
        )
        clips = [recall.clip(original.path, original.video) for original in originals]
        copies = []
        for number, original in enumerate(originals, 1):
            print(f"original {number} of {len(originals)} …", file=sys.stderr)
            copies.append(recall.copies(original, asked.kinds))
        result: dict[str, Any] = {
            views: recall.compare(clips, copies, views) for views in asked.views
        }
        result["chance"] = chance(clips, asked.threshold)
        result["cost"] = recall.costs(originals)
    print(f"{len(clips)} originals of {len({c.video.path for c in clips})} videos")
    print(f"{'found (right)':18}", *(f"{views:>14}" for views in asked.views))
    for kind in asked.kinds:
        cells = [
            f"{result[v]['found'][kind]:.2f} ({result[v]['right'][kind]:.2f})" for v in asked.views
        ]
        print(f"{kind:18}", *(f"{cell:>14}" for cell in cells))
    for name in ("survivors", "false_other_video", "same_video", "search_ms"):
        print(f"{name:18}", *(f"{result[v][name]:>14.4g}" for v in asked.views))
    print(f"chance of two pictures: {result['chance']}\nCPU: {result['cost']}")
    print(json.dumps({"clips": len(clips), "threshold": asked.threshold} | result))


if __name__ == "__main__":
    main()
