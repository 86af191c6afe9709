"""CPU seconds and memory of captioners' frames: picked while decoding, against the whole clip in
memory; and of several captioners in one stage, against one of them.

    python benchmarks/captions.py [--seconds 10] [--size 1920x1080] [--frames 8] [--windows 8]

A clip is drawn and encoded first. Each way runs in a process of its own and ends with the same
frames at the same size: curate's (`pick_frames`), and the way of the scripts that it replaces,
which decode the clip to one array and index it. Memory is the largest that the process held beyond
its start.

Then the frames of all windows of the clip: those that the usual options of `openai`, `pllava` and
`qwen2_vl` choose, by each of the three, by the three together, and by three that choose the same.
CPU seconds are told apart: decoding; scaling to the sizes that captioners ask for, which none
shares with one that asks for another size or frame; and the total, with memory that is filled.
Each is the least of five runs, taken in turn; ratios are to the one captioner that takes most.
The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

WAYS = ("picked", "whole")
RATE = 30


def draw(path: Path, seconds: float, size: tuple[int, int]) -> None:
    """A clip in which a soft pattern moves, with a keyframe each two seconds."""
    import av
    import cv2

    width, height = size
    coarse = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    pattern = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    options = {
        "preset": "ultrafast",
        "crf": "26",
        "threads": "1",
        "x264-params": "keyint=60:scenecut=0",
    }
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(np.roll(pattern, 5 * number, 1), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def picked(path: str, numbers: list[int], small: tuple[int, int]) -> Any:
    """Curate's way."""
    from curate.tasks.video.frame_picker import pick_frames
    from curate.tasks.video.span import Pick, Span

    span = Span(0, 1 << 60, Fraction(1), numbers[-1] + 1)
    return pick_frames(path, span, lambda _: [Pick(numbers, small)])[0]


def whole(path: str, numbers: list[int], small: tuple[int, int]) -> Any:
    """All frames to one array of the source's size, then those wanted, made small."""
    import av
    import cv2

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        frames = np.empty((stream.frames, stream.height, stream.width, 3), np.uint8)
        for number, frame in enumerate(container.decode(video=0)):
            frames[number] = frame.to_ndarray(format="rgb24")
    return np.stack([cv2.resize(frames[n], small, interpolation=cv2.INTER_CUBIC) for n in numbers])


def measured(way: str, path: str, numbers: list[int], small: tuple[int, int]) -> dict[str, float]:
    """What one way takes in this process."""
    import av  # noqa: F401  the libraries are no part of what is measured
    import cv2  # noqa: F401

    import curate.tasks.video.frame_picker  # noqa: F401

    start, done = resident(), threading.Event()
    peak = [start]

    def watch() -> None:
        while not done.wait(0.003):
            peak[0] = max(peak[0], resident())

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.process_time()
    frames = {"picked": picked, "whole": whole}[way](path, numbers, small)
    seconds = time.process_time() - began
    done.set()
    watching.join()
    return {
        "cpu_seconds": round(seconds, 2),
        "mb": round(peak[0] - start, 1),
        "mean": round(float(frames.mean()), 1),
    }


def captioners() -> dict[str, Any]:
    """Captioners as far as the choice of frames goes, by the names of their stages."""
    from curate.tasks.captioners.pllava import Pllava, PllavaRunOptions
    from curate.tasks.captioners.qwen2_vl import Qwen2Vl
    from curate.tasks.captioners.qwen_vl import QwenRunOptions
    from curate.tasks.openai import OpenaiCaptioner, OpenaiOptions

    pllava, qwen = object.__new__(Pllava), object.__new__(Qwen2Vl)  # without their weights
    pllava.options, qwen.options = PllavaRunOptions(), QwenRunOptions()
    openai = OpenaiCaptioner(OpenaiOptions(model="none"), "openai")
    return {"openai": openai, "pllava": pllava, "qwen2_vl": qwen}


def of_windows(path: str, seconds: float, windows: int) -> dict[str, dict[str, float]]:
    """CPU seconds of the frames of all windows, by which captioners share one decode."""
    from curate.tasks.captioners.frames import parts_for
    from curate.tasks.captioners.windows import Windows
    from curate.tasks.stage import Clip, Video
    from curate.tasks.video import frame_picker
    from curate.tasks.video.geometry import Converter

    cpu = {"decoding": 0.0, "scaling": 0.0}
    convert, decode = Converter.convert, frame_picker.decode

    def scaled(converter: Converter, frame: Any) -> Any:
        began = time.process_time()
        found = convert(converter, frame)
        cpu["scaling"] += time.process_time() - began
        return found

    def decoded(*args: Any, **options: Any) -> Iterator[Any]:
        frames = decode(*args, **options)
        while True:
            began = time.process_time()
            frame = next(frames, None)
            cpu["decoding"] += time.process_time() - began
            if frame is None:
                return
            yield frame

    Converter.convert = scaled  # type: ignore[method-assign]
    frame_picker.decode = decoded
    count, known = round(seconds * RATE), captioners()
    video = Video(1, 1, path, path, {})
    span = (0, count * 512, Fraction(1, 512 * RATE))
    clip = Clip(1, 1, 0, video, *span, {"num_frames": count}, Path(path).parent)
    divided = Windows(frames=-(-count // windows), min=0)
    groups = {name: [one] for name, one in known.items()}
    groups |= {"alike": [known["qwen2_vl"]] * 3, "unlike": list(known.values())}
    took: dict[str, dict[str, float]] = {}
    for _ in range(5):
        for name, group in groups.items():
            cpu |= {"decoding": 0.0, "scaling": 0.0}
            began = time.process_time()
            parts = parts_for(clip, [(one, divided) for one in group])
            run = {"total": time.process_time() - began, **cpu}
            assert {len(of_one) for of_one in parts} == {windows}
            least = took.setdefault(name, run)
            took[name] = {part: min(value, least[part]) for part, value in run.items()}
    return took


def print_windows(took: dict[str, dict[str, float]]) -> dict[str, Any]:
    """A line for each group of captioners; returns the figures that are told in the end."""
    for name, cpu in took.items():
        print(
            f"{name:8} {cpu['total']:6.2f} CPU seconds: {cpu['decoding']:.2f} decoding, "
            f"{cpu['scaling']:.2f} scaling"
        )
    singles = [took[name] for name in captioners()]
    figures: dict[str, Any] = {
        f"{name}_{part}_ratio": round(took[name][part] / max(one[part] for one in singles), 3)
        for name in ("alike", "unlike")
        for part in ("decoding", "total")
    }
    apart = sum(one["total"] for one in singles)
    figures["unlike_to_apart"] = round(took["unlike"]["total"] / apart, 3)
    rounded = {name: {p: round(v, 2) for p, v in cpu.items()} for name, cpu in took.items()}
    return {**figures, "windows_cpu_seconds": rounded}


def resident() -> float:
    """Megabytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    """Draw the clip, run each way in a process of its own, print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="length of the clip (default 10)")
    parser.add_argument("--size", default="1920x1080", help="WIDTHxHEIGHT (default 1920x1080)")
    parser.add_argument("--frames", type=int, default=8, help="frames wanted (default 8)")
    parser.add_argument("--windows", type=int, default=8, help="windows of the clip (default 8)")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    width, height = (int(n) for n in options.size.split("x"))
    total = round(options.seconds * RATE)
    numbers = [(2 * n + 1) * total // (2 * options.frames) for n in range(options.frames)]
    small = 768, round(768 * height / width)
    if options.run:
        print(json.dumps(measured(*options.run, numbers, small)))
        return
    figures: dict[str, Any] = {
        "seconds": options.seconds,
        "size": options.size,
        "frames": options.frames,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        draw(path, options.seconds, (width, height))
        for way in WAYS:
            command = [sys.executable, __file__, *sys.argv[1:], "--run", way, str(path)]
            took = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout
            )
            figures |= {f"{way}_{name}": value for name, value in took.items()}
            print(
                f"{way:7} {took['cpu_seconds']:6.2f} CPU seconds, {took['mb']:8.1f} MB more "
                "than at the start"
            )
        figures |= print_windows(of_windows(str(path), options.seconds, options.windows))
    assert abs(figures["picked_mean"] - figures["whole_mean"]) < 2, (
        "the two ways give other pictures"
    )
    figures["cpu_ratio"] = round(figures["picked_cpu_seconds"] / figures["whole_cpu_seconds"], 3)
    figures["memory_ratio"] = round(figures["picked_mb"] / figures["whole_mb"], 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
