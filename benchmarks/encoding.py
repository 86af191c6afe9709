"""What x264 costs and how large its clips are at one quality, by preset, threads and lookahead.

    python -m benchmarks.encoding VIDEO... [--frames 120]

The first frames of each video are encoded at several crf by every variant. The table has, of all
videos, CPU seconds and bytes where the variant's SSIM is that of veryfast at crf 23 (both
interpolated over crf), as ratios to veryfast's, the crf that gives it, and what PSNR differs there.
SSIM and PSNR are ffmpeg's, over all three planes, against the decoded source.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean, geometric_mean

import av
import numpy as np
from av.filter import Graph
from av.video.frame import PictureType, VideoFrame

from curate.tasks.video.filled_memory import filled_memory
from curate.tasks.video.graphs import source

CRFS = (18, 21, 23, 25, 28)
REFERENCE = "veryfast"
REFERENCE_CRF = 23
VARIANTS: dict[str, dict[str, str]] = {
    "ultrafast": {"preset": "ultrafast"},
    "superfast": {"preset": "superfast"},
    REFERENCE: {"preset": "veryfast"},
    "faster": {"preset": "faster"},
    "medium": {"preset": "medium"},
    "veryfast, 2 threads": {"preset": "veryfast", "threads": "2"},
    "veryfast, 4 threads": {"preset": "veryfast", "threads": "4"},
    "veryfast, lookahead 5": {"preset": "veryfast", "rc-lookahead": "5"},
    "veryfast, no lookahead": {"preset": "veryfast", "rc-lookahead": "0", "mbtree": "0"},
    "superfast, mbtree": {"preset": "superfast", "rc-lookahead": "10", "mbtree": "1"},
}


@dataclass(frozen=True)
class Encoded:
    """One encoding of a video."""

    cpu: float  # seconds, without decoding
    size: int  # bytes of the MP4
    ssim: float  # 0 to 1, higher is better
    psnr: float  # dB, higher is better


def frames_of(path: Path, count: int) -> list[VideoFrame]:
    """The first frames as 8-bit 4:2:0."""
    with av.open(str(path)) as container:
        decoded = islice(container.decode(video=0), count)
        return [frame.reformat(format="yuv420p") for frame in decoded]


def encode(frames: Sequence[VideoFrame], options: dict[str, str], crf: int) -> tuple[bytes, float]:
    """An MP4 of the frames at 25 frames a second, and the CPU seconds of x264."""
    file = io.BytesIO()
    cpu = 0.0
    with av.open(file, "w", format="mp4") as output:
        settings = {"threads": "1", "crf": str(crf)} | options
        stream = output.add_stream("libx264", rate=25, options=settings)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for number, frame in enumerate([*frames, None]):
            if frame is not None:
                frame.pts, frame.time_base = number, Fraction(1, 25)
                frame.pict_type = PictureType.NONE
            began = time.process_time()
            with filled_memory():
                packets = stream.encode(frame)
            cpu += time.process_time() - began
            output.mux(packets)
    return file.getvalue(), cpu


def quality(frames: Sequence[VideoFrame], encoded: bytes) -> tuple[float, float]:
    """SSIM and PSNR, means over the frames of an encoding."""
    found = []
    for name, key in (("ssim", "lavfi.ssim.All"), ("psnr", "lavfi.psnr.psnr_avg")):
        graph = Graph()
        inputs = [graph.add(*source(frames[0]).split("=", 1)) for _ in range(2)]
        compare, sink = graph.add(name), graph.add("buffersink")
        for number, node in enumerate(inputs):
            node.link_to(compare, 0, number)
        compare.link_to(sink)
        graph.configure()
        values = []
        with av.open(io.BytesIO(encoded)) as container:
            decoded = container.decode(video=0)
            for number, pair in enumerate(zip(decoded, frames, strict=True)):
                for node, picture in zip(inputs, pair, strict=True):
                    picture.pts, picture.time_base = number, Fraction(1, 25)
                    node.push(picture)
                values.append(float(sink.pull().metadata[key]))
        found.append(fmean(values))
    return found[0], found[1]


def at(rows: Sequence[Encoded], ssim: float) -> tuple[float, float, float, float]:
    """crf, CPU seconds, bytes and PSNR where the SSIM is this one, interpolated over CRFS."""
    order = np.argsort([row.ssim for row in rows])
    known = [rows[n].ssim for n in order]

    def read(values: Sequence[float]) -> float:
        return float(np.interp(ssim, known, [values[n] for n in order]))

    size = np.exp(read([float(np.log(row.size)) for row in rows]))
    crf, cpu = read(CRFS), read([row.cpu for row in rows])
    return crf, cpu, float(size), read([row.psnr for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    given = parser.parse_args()
    wanted: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in VARIANTS}
    for path in given.videos:
        frames = frames_of(path, given.frames)
        table = {}
        for name, options in VARIANTS.items():
            rows = []
            for crf in CRFS:
                data, cpu = encode(frames, options, crf)
                rows.append(Encoded(cpu, len(data), *quality(frames, data)))
            table[name] = rows
        target = table[REFERENCE][CRFS.index(REFERENCE_CRF)]
        print(f"{path.name}: {len(frames)} frames, {target}", flush=True)
        for name, rows in table.items():
            wanted[name].append(at(rows, target.ssim))
    figures = {}
    print(f"{'variant':26} {'crf':>6} {'CPU':>6} {'bytes':>6} {'PSNR, dB':>9}")
    for name, found in wanted.items():
        base = wanted[REFERENCE]
        cpu = geometric_mean(a[1] / b[1] for a, b in zip(found, base, strict=True))
        size = geometric_mean(a[2] / b[2] for a, b in zip(found, base, strict=True))
        crf = fmean(a[0] for a in found)
        psnr = fmean(a[3] - b[3] for a, b in zip(found, base, strict=True))
        figures[name] = {"crf": crf, "cpu": cpu, "bytes": size, "psnr_gain": psnr}
        print(f"{name:26} {crf:6.1f} {cpu:6.2f} {size:6.2f} {psnr:+9.2f}")
    print(json.dumps({name: {k: round(v, 3) for k, v in f.items()} for name, f in figures.items()}))


if __name__ == "__main__":
    main()
