"""CPU seconds of the front end against bare decoding and against doing each step by itself.

    python benchmarks/frontend.py [FOLDER] [--repeat 3]

FOLDER holds videos; without one, three are drawn (1080p, 720p, 360p with grain, pans and cuts).
Every line runs in a process of its own on the same files, in turns; the least CPU time of the
repeats counts, children included. Python lines are measured after their imports, because a worker
imports once. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

LINES = {
    "pyav": "bare decode, PyAV, 1 thread",
    "ffmpeg": "bare decode, ffmpeg -threads 1 -f null",
    "curate": "curate: probe + split (hash, samples, flow) + motion",
    "curate_cut": "curate, and every clip cut (x264 veryfast crf 23, the default)",
    "curate_cut18": "the same at crf 18",
    "steps": "step by step, every clip cut (x264 medium crf 23)",
}


def cpu() -> float:
    """User and system seconds of this process and its ended children."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak() -> float:
    """Most megabytes that this process had in memory. ru_maxrss counts those of the parent it was
    forked from.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM")


def find_ffmpeg() -> str | None:
    """ffmpeg on PATH, else that of imageio-ffmpeg, else None."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg  # type: ignore[import-not-found]
    except ImportError:
        return None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


# ---------------------------------------------------------------- the lines: each returns what it
# counts


def pyav(files: list[str], work: Path) -> Callable[[], int]:
    """Frames decoded by PyAV with one thread."""
    import av

    def run() -> int:
        frames = 0
        for path in files:
            with av.open(path) as container:
                container.streams.video[0].thread_count = 1
                frames += sum(1 for _ in container.decode(video=0))
        return frames

    return run


def ffmpeg(files: list[str], work: Path) -> Callable[[], int]:
    """Files decoded by the ffmpeg program with one thread."""
    program = find_ffmpeg()
    assert program
    head = [program, "-nostdin", "-v", "error", "-threads", "1"]

    def run() -> int:
        for path in files:
            command = [
                *head,
                "-i",
                path,
                "-map",
                "0:v:0",
                "-fps_mode",
                "passthrough",
                "-f",
                "null",
                "-",
            ]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return len(files)

    return run


def curate(files: list[str], work: Path, *, cut: int | None = None) -> Callable[[], int]:
    """Clips found, sampled, hashed and measured by curate's stages, and cut."""
    import cv2  # noqa: F401  a worker has these loaded
    import numpy as np

    from curate.configs.settings import Settings
    from curate.tasks.cut import Cut
    from curate.tasks.motion import Motion
    from curate.tasks.probe import Probe
    from curate.tasks.split import Split
    from curate.tasks.stage import Clip, Context, Video
    from curate.tasks.video import encode, hashing, probing  # noqa: F401

    context = Context(Settings(home=work))
    probe, split = Probe(Probe.Options(), context), Split(Split.Options(), context)
    motion, cutter = Motion(Motion.Options(), context), Cut(Cut.Options(crf=cut or 23), context)
    hashing.perceptual_hashes(np.eye(64, dtype=np.uint8)[..., None].repeat(3, 2) * 255, "phash")

    def run() -> int:
        made = 0
        for number, path in enumerate(files):
            video = Video(number, 1, path, Path(path).name, {})
            values = {"clip_stem": f"{number}", **probe.run(video).scores}
            video = Video(number, 1, path, Path(path).name, values)
            base = Fraction(values["time_base_num"], values["time_base_den"])  # type: ignore[arg-type]
            clips = [
                Clip(
                    made + i, 1, new.index, video, new.start_pts, new.end_pts,
                    base, dict(new.scores), context.settings.samples,
                )
                for i, new in enumerate(split.run(video).clips)
            ]  # fmt: skip
            motion.run_batch(clips)
            if cut and clips:
                cutter.run_batch(clips)
            made += len(clips)
        return made

    return run


def steps(files: list[str], work: Path) -> Callable[[], int]:
    """Clips made one step at a time with public tools, the way the seed does."""
    import cv2
    import numpy as np
    import scenedetect

    from curate.tasks.video import hashing

    program = find_ffmpeg()
    assert program
    hashing.perceptual_hashes(np.eye(64, dtype=np.uint8)[..., None].repeat(3, 2) * 255, "phash")

    def seek(path: str, points: tuple[float, ...]) -> list[Any]:
        capture = cv2.VideoCapture(path)
        total, frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), []
        for point in points:
            capture.set(cv2.CAP_PROP_POS_FRAMES, min(int(total * point), total - 1))
            read, frame = capture.read()
            if read:
                frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        capture.release()
        return frames

    def one(path: str, number: int) -> int:
        made = 0
        for i, (start, end) in enumerate(
            scenedetect.detect(path, scenedetect.AdaptiveDetector(), start_in_scene=True)
        ):
            seconds = min((end - start).seconds, 20.0)
            if seconds < 2:
                continue
            out = str(work / f"{number}_{i}.mp4")
            span = ["-ss", f"{start.seconds:.3f}", "-i", path, "-t", f"{seconds:.3f}"]
            command = [
                program,
                "-nostdin",
                "-v",
                "error",
                "-y",
                *span,
                "-map",
                "0:v",
                "-threads",
                "1",
                out,
            ]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            for frame in seek(out, (0.0,)):  # dedup
                hashing.perceptual_hashes(frame, "phash")
            for points in ((0.5,), (0.1, 0.5, 0.9), (0.5,)):  # match, aesthetics, text
                seek(out, points)
            made += 1
        return made

    return lambda: sum(one(path, number) for number, path in enumerate(files))


def child(line: str, files: list[str]) -> None:
    """Run one line and print what it cost as JSON."""
    makers: dict[str, Callable[..., Callable[[], int]]] = {
        "pyav": pyav, "ffmpeg": ffmpeg, "curate": curate, "steps": steps,
        "curate_cut": lambda files, work: curate(files, work, cut=23),
        "curate_cut18": lambda files, work: curate(files, work, cut=18),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as work:
        run = makers[line](files, Path(work))
        before, clock = cpu(), time.perf_counter()
        found = run()
        print(
            json.dumps(
                {
                    "cpu": cpu() - before,
                    "wall": time.perf_counter() - clock,
                    "found": found,
                    "mb": peak(),
                }
            )
        )


def measure(line: str, files: list[str]) -> dict[str, float]:
    """One run of a line in a fresh process."""
    command = [sys.executable, __file__, "--line", line, *files]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


# ---------------------------------------------------------------- drawn files


def draw(folder: Path) -> list[str]:
    """Three videos of 16 s: pans over a texture, a cut every 4 s (as films have), grain, x264
    medium.
    """
    sizes = {"1080p": (1920, 1080, 24), "720p": (1280, 720, 25), "360p": (640, 360, 30)}
    return [_draw(folder / f"{name}.mp4", *size) for name, size in sizes.items()]


def _draw(path: Path, width: int, height: int, fps: int) -> str:
    import av
    import cv2
    import numpy as np

    rng = np.random.default_rng(fps)
    grain = rng.normal(0, 4, (height, width, 1)).astype(np.float32)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"crf": "21"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        texture = grain
        for i in range(16 * fps):
            if i % 4 * fps == 0:
                coarse = rng.uniform(0, 255, (12, 20, 3)).astype(np.float32)
                texture = cv2.resize(
                    coarse, (width * 5 // 4, height), interpolation=cv2.INTER_CUBIC
                )
            shift = i % 4 * fps * width // (16 * fps)
            image = texture[:, shift : shift + width] + np.roll(grain, i * 97, 1)
            frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return str(path)


# ---------------------------------------------------------------- the table


def main() -> None:
    """Measure all lines and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", nargs="*", help="a folder of videos")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--line", choices=LINES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.line:
        return child(asked.line, asked.files)
    with tempfile.TemporaryDirectory() as drawn:
        files = _videos(Path(asked.files[0])) if asked.files else draw(Path(drawn))
        return compare(files, asked.repeat)


def _videos(folder: Path) -> list[str]:
    from curate.tasks.inputs.extensions import VIDEO_EXTENSIONS

    return sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in VIDEO_EXTENSIONS)


def compare(files: list[str], repeat: int) -> None:
    """Print a line for each way and the ratios that matter."""
    lines = [line for line in LINES if find_ffmpeg() or line not in ("ffmpeg", "steps")]
    runs: dict[str, list[dict[str, float]]] = {line: [] for line in lines}
    for _ in range(repeat):
        for line in lines:
            runs[line].append(measure(line, files))
    best = {line: min(run["cpu"] for run in found) for line, found in runs.items()}
    print(f"{len(files)} files, {runs['pyav'][0]['found']:.0f} frames, least of {repeat} runs")
    for line in LINES:
        if line in best:
            spread = max(run["cpu"] for run in runs[line]) / best[line] - 1
            share = best[line] / best["pyav"]
            print(
                f"{best[line]:9.2f} CPU s  {share:7.2f} x decode  (spread {spread:4.0%})  "
                f"{LINES[line]}"
            )
        else:
            print("  skipped: no ffmpeg on PATH and no imageio-ffmpeg  " + LINES[line])
    most = max(run["mb"] for run in runs["curate"])
    print(f"peak memory of the curate line: {most:.0f} MB")
    clips = runs["curate"][0]["found"]
    print(
        json.dumps({"cpu_seconds": best, "ratios": _ratios(best), "peak_mb": most, "clips": clips})
    )


def _ratios(best: dict[str, float]) -> dict[str, float]:
    pairs = {
        "curate_over_pyav": ("curate", "pyav"),
        "curate_over_ffmpeg": ("curate", "ffmpeg"),
        "steps_over_curate": ("steps", "curate"),
        "steps_over_curate_cut": ("steps", "curate_cut"),
    }
    return {
        name: round(best[a] / best[b], 3)
        for name, (a, b) in pairs.items()
        if a in best and b in best
    }


if __name__ == "__main__":
    main()
