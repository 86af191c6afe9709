"""What it costs to start: CPU seconds of `curate run` on one short clip, of `curate status`, of the
hasher's import, and of a worker that has nothing to do.

    python benchmarks/start.py [--repeat 3] [--idle 60]

Every command runs in a new process and an empty home; its CPU seconds are those of all processes
that it started, and the least of the repeats counts. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

CURATE = [sys.executable, "-m", "curate.cli.main"]
SUBREAPER = 36  # of prctl: processes whose parent is killed become children of this one
SETTLED = 20.0  # seconds after which a worker has started
HASHER = """
import re, time, cv2, numpy, PIL.Image
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before, began = peak(), time.process_time()
from curate.tasks.video.hashing import perceptual_hashes
picture = numpy.random.default_rng(0).integers(0, 255, (64, 64, 3), numpy.uint8)
assert perceptual_hashes(picture, "phash")[0]
print(time.process_time() - began, peak() - before)
"""


def draw(path: Path) -> None:
    """Two seconds of noise, 320 x 180."""
    picture = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for _ in range(48):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode(None))


def measured(command: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of a command, with all processes that it leaves behind."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    wall = time.monotonic() - began
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def family(pid: int) -> Iterator[int]:
    """A process and those below it."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def spent(pid: int) -> float:
    """CPU seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(home: str, seconds: float) -> dict[str, float]:
    """CPU seconds a minute of a supervisor without work, and of all its processes."""
    command = [*CURATE, "--home", home, "worker", "--queues", "cpu", "--concurrency", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(SETTLED)
        pids = list(family(process.pid))
        before = {pid: spent(pid) for pid in pids}
        time.sleep(seconds)
        used = {pid: (spent(pid) - before[pid]) * 60 / seconds for pid in pids}
    finally:
        process.terminate()
        process.wait()
    return {"idle_supervisor_cpu": used[process.pid], "idle_all_cpu": sum(used.values())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--idle", type=float, default=60, help="seconds; 0: not measured")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder, "videos")
        videos.mkdir()
        draw(videos / "a.mp4")
        runs, looks, hashers = [], [], []
        for number in range(options.repeat):
            home = f"{folder}/home{number}"
            table = f"{folder}/{number}.csv"
            runs.append(measured([*CURATE, "--home", home, "run", str(videos), "-o", table]))
            looks.append(measured([*CURATE, "--home", home, "status"]))
            done = subprocess.run(
                [sys.executable, "-c", HASHER], check=True, capture_output=True, text=True
            )
            hashers.append(tuple(map(float, done.stdout.split())))
        found["run_cpu"], found["run_wall"] = min(runs)[0], min(wall for _, wall in runs)
        found["status_cpu"], found["status_wall"] = min(looks)[0], min(wall for _, wall in looks)
        found["hasher_cpu"], found["hasher_mb"] = min(hashers)
        if options.idle:
            found |= idle(f"{folder}/home0", options.idle)
    for name, value in found.items():
        print(f"{name:20} {value:8.2f}")
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
