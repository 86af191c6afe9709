"""CPU seconds of the front end against bare decoding and against doing each step by itself.

    python benchmarks/frontend.py [FILE or FOLDER ...] [--repeat 3] [--lines pyav,curate] [--each]
                                  [--against CHECKOUT]

Without files, three are drawn (1080p, 720p, 360p with grain, pans and cuts). Every line runs in a
process of its own, in the environment of a worker, on the same files, in turns; the least CPU time
of the repeats counts, children included. Each process goes over the files twice, and the second
time counts: a worker imports once, and takes memory from the kernel once. What the first time took
more is told beside it. `--each` has a table for each file, `--against` a line for the curate of
another checkout, such as one before a change. The last line of a table is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

LINES = {
    "pyav": "bare decode, PyAV, 1 thread",
    "ffmpeg": "bare decode, ffmpeg -threads 1 -f null",
    "curate": "curate: probe + split (hash, samples, flow) + motion",
    "against": "the same by the other checkout",
    "curate_cut": "curate, and every clip cut by x264 (crf 23)",
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


def stage_context(work: Path) -> tuple[Any, Callable[[str, int, int], list[Any]]]:
    """The context of stages whose files go to `work`, and what finds the clips of a file: by its
    path, the number of its video and that of its first clip.
    """
    from curate.configs.settings import Settings
    from curate.tasks.cut import Cut
    from curate.tasks.motion import Motion
    from curate.tasks.probe import Probe
    from curate.tasks.split import Split
    from curate.tasks.stage import Clip, Context, Video

    for stage in (Probe, Split, Motion, Cut):  # as a worker does; older checkouts do not
        if hasattr(stage, "preload"):
            stage.preload()
    context = Context(Settings(home=work))
    probe, split = Probe(Probe.Options(), context), Split(Split.Options(), context)

    def clips_of(path: str, number: int, first: int) -> list[Any]:
        video = Video(number, 1, path, Path(path).name, {})
        values = {"clip_stem": f"{number}", **probe.run(video).scores}
        video = Video(number, 1, path, Path(path).name, values)
        base = Fraction(values["time_base_num"], values["time_base_den"])  # type: ignore[arg-type]
        samples = context.settings.samples
        return [
            Clip(
                first + i, 1, new.index, video, new.start_pts, new.end_pts,
                base, dict(new.scores), samples,
            )
            for i, new in enumerate(split.run(video).clips)
        ]  # fmt: skip

    return context, clips_of


def curate(files: list[str], work: Path, *, cut: int | None = None) -> Callable[[], int]:
    """Clips found, sampled, hashed and measured by curate's stages, and cut."""
    from curate.tasks.cut import Cut
    from curate.tasks.motion import Motion

    context, clips_of = stage_context(work)
    motion, cutter = Motion(Motion.Options(), context), Cut(Cut.Options(crf=cut or 23), context)

    def run() -> int:
        made = 0
        for number, path in enumerate(files):
            clips = clips_of(path, number, made)
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
        first, spent, found = 0.0, 0.0, 0
        for _ in range(2):
            first, before = spent, cpu()
            found = run()
            spent = cpu() - before
    print(json.dumps({"cpu": spent, "first": first - spent, "found": found, "mb": peak()}))


def measure(line: str, files: list[str], against: str | None) -> dict[str, float]:
    """One run of a line in a fresh process."""
    from curate.configs.settings import load_settings
    from curate.worker.processes import WorkerSpec

    root = against if against and line == "against" else str(Path(__file__).parent.parent)
    name = "curate" if line == "against" else line
    command = [sys.executable, __file__, "--line", name, *files]
    environment = WorkerSpec("cpu", 1, "cpu").environment(load_settings())
    environment["PYTHONPATH"] = str(Path(root) / "src")
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
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
    parser.add_argument("files", nargs="*", help="videos, and folders of them")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--lines", default=",".join(LINES), help="those to run")
    parser.add_argument("--each", action="store_true", help="a table for each file")
    parser.add_argument("--against", metavar="CHECKOUT", help="another checkout of curate")
    parser.add_argument("--line", choices=LINES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.line:
        child(asked.line, asked.files)
        return
    wanted = {"pyav", *asked.lines.split(",")} - {"against"}
    wanted |= {"against"} if asked.against else set()
    wanted -= set() if find_ffmpeg() else {"ffmpeg", "steps"}
    lines = [line for line in LINES if line in wanted]
    with tempfile.TemporaryDirectory() as drawn:
        files = _videos(asked.files) if asked.files else draw(Path(drawn))
        for together in [[file] for file in files] if asked.each else [files]:
            compare(together, asked.repeat, lines, asked.against)


def _videos(given: list[str]) -> list[str]:
    from curate.tasks.inputs.extensions import VIDEO_EXTENSIONS

    found: list[str] = []
    for path in map(Path, given):
        inside = sorted(path.iterdir()) if path.is_dir() else []
        found += [str(p) for p in inside if p.suffix.lower() in VIDEO_EXTENSIONS]
        found += [] if path.is_dir() else [str(path)]
    return found


def compare(files: list[str], repeat: int, lines: list[str], against: str | None) -> None:
    """Print a line for each way and the ratios that matter."""
    runs: dict[str, list[dict[str, float]]] = {line: [] for line in lines}
    for _ in range(repeat):
        for line in lines:
            runs[line].append(measure(line, files, against))
    best = {line: min(run["cpu"] for run in found) for line, found in runs.items()}
    first = {line: min(run["first"] for run in found) for line, found in runs.items()}
    frames = runs["pyav"][0]["found"]
    names = files[0] if len(files) == 1 else f"{len(files)} files"
    above = {line: round(1000 * (cpu - best["pyav"]) / frames, 3) for line, cpu in best.items()}
    print(f"{names}, {frames:.0f} frames, least of {repeat} runs")
    for line in lines:
        spread = max(run["cpu"] for run in runs[line]) / best[line] - 1
        print(
            f"{best[line]:9.2f} CPU s  {best[line] / best['pyav']:7.2f} x decode  "
            f"{above[line]:+8.2f} ms a frame  (spread {spread:4.0%}; the first time "
            f"{first[line]:+.2f} s)  {LINES[line]}"
        )
    shown: dict[str, Any] = {
        "files": [Path(file).name for file in files],
        "cpu_seconds": best,
        "frames": frames,
        "ratios": _ratios(best),
        "ms_above_decode_a_frame": above,
        "first_time_seconds_more": first,
    }
    if "curate" in runs:
        shown["peak_mb"] = max(run["mb"] for run in runs["curate"])
        shown["clips"] = runs["curate"][0]["found"]
        print(f"peak memory of the curate line: {shown['peak_mb']:.0f} MB")
    print(json.dumps(shown))


def _ratios(best: dict[str, float]) -> dict[str, float]:
    pairs = {
        "curate_over_pyav": ("curate", "pyav"),
        "against_over_pyav": ("against", "pyav"),
        "curate_over_ffmpeg": ("curate", "ffmpeg"),
        "curate_cut_over_pyav": ("curate_cut", "pyav"),
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
