"""What it costs to cut every clip of a file, and how large they get: encoded, or copied where that
gives the same frames (`mode: smart`).

    python -m benchmarks.cutting VIDEO... [--again]

CPU seconds, besides finding the clips; each mode cuts twice and the second time counts. `--again`
measures each file also as x264 medium at crf 20 stores it, with keyframes at its cuts. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import PictureType

from benchmarks.frontend import pyav, stage_context


def stored_again(path: Path, folder: Path) -> Path:
    """The pictures of a file as an encoder with its usual settings stores them, in `folder`."""
    target = folder / f"{path.stem}_again.mp4"
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        pictures = source.streams.video[0]
        stream = output.add_stream(
            "libx264", rate=pictures.average_rate, options={"crf": "20", "preset": "medium"}
        )
        stream.width, stream.height, stream.pix_fmt = pictures.width, pictures.height, "yuv420p"
        for number, frame in enumerate(source.decode(pictures)):
            frame.pict_type = PictureType.NONE
            frame.pts, frame.time_base = number, 1 / Fraction(pictures.average_rate or 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target


def measured(path: Path, work: Path) -> dict[str, Any]:
    """CPU seconds and bytes of the clips of a file by each mode, and the frames that are copied."""
    from curate.tasks.cut import Cut

    context, clips_of = stage_context(work)
    decode = pyav([str(path)], work)
    decode()
    found: dict[str, Any] = {"decode": _cpu(decode)[0]}
    clips = clips_of(str(path), 0, 0)
    frames = {clip.id: int(clip.values["num_frames"]) for clip in clips}
    found["frames"] = sum(frames.values())
    for mode in ("encode", "smart"):
        cutter = Cut(Cut.Options(mode=mode), context)
        cutter.run_batch(clips)
        found[mode], outcomes = _cpu(lambda cutter=cutter: cutter.run_batch(clips))
        scores = {clip.id: one.scores for clip, one in zip(clips, outcomes, strict=True)}
        found[f"{mode}_bytes"] = sum(int(one["file_size"]) for one in scores.values())
        found["copied"] = sum(frames[i] for i, one in scores.items() if one.get("copied"))
    return found


def _cpu(run: Any) -> tuple[float, Any]:
    began = time.process_time()
    done = run()
    return time.process_time() - began, done


def files_of(given: Iterable[str], folder: Path, again: bool) -> Iterable[Path]:
    """The files, each also as it is stored again."""
    for path in map(Path, given):
        yield path
        if again:
            yield stored_again(path, folder)


def main() -> None:
    """Measure all files and print the table."""
    parser = argparse.ArgumentParser(description="What it costs to cut every clip of a file.")
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--again", action="store_true", help="also as x264 stores it again")
    asked = parser.parse_args()
    results = {}
    print(
        f"{'file':32} {'frames':>6} {'copied':>6} {'decode':>7} {'encode':>7} {'smart':>7}  bytes"
    )
    with tempfile.TemporaryDirectory() as made:
        for path in files_of(asked.videos, Path(made), asked.again):
            with tempfile.TemporaryDirectory() as work:
                one = results[path.name] = measured(path, Path(work))
            ratio = one["smart_bytes"] / one["encode_bytes"]
            print(
                f"{path.name:32} {one['frames']:7} {one['copied']:7} {one['decode']:7.2f} "
                f"{one['encode']:7.2f} {one['smart']:7.2f}  {ratio:.2f}"
            )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
