"""Every `$ curate …` line of the README is run, in its order, in a folder with two videos, a bad
file and models.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import shlex
import subprocess
import urllib.request
from pathlib import Path

from tests import tiny
from tests.media import B_FRAMES, footage, write_video
from tests.pipelines import wait_until
from tests.processes import CURATE

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
MODELS = importlib.util.find_spec("mindspore") is not None
# without MindSpore the lines that run networks are left out, as a reader without it would
LINES = [
    line
    for line in re.findall(r"^\$ (curate .*)$", README, re.MULTILINE)
    if MODELS or not any(word in line for word in ("models check", "scored", "option_scores"))
]
# the bad file makes `run` and `resume` say 1
EXPECTED = {"run": {0, 1}, "resume": {0, 1}}


def start(line: str, folder: Path) -> subprocess.Popen[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
    clean |= {"CURATE_MODELS": str(folder / "models"), "CURATE_DEVICE": "CPU"}
    clean |= {"TMPDIR": str(folder / "tmp")}
    words = [CURATE, *shlex.split(line)[1:]]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=folder, env=clean, stdout=pipe, stderr=pipe, text=True)


def write_models(folder: Path) -> None:
    """Tiny models; to these heads both videos look fair and safe, with room to spare."""
    tiny.write_all(folder)
    tiny.write_aesthetic(folder / tiny.AESTHETIC, seed=39)
    tiny.write_nsfw(folder / tiny.NSFW, seed=39)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_there_are_lines_to_run() -> None:
    commands = {shlex.split(line)[1] for line in LINES}
    assert commands >= {
        "run",
        "status",
        "filter",
        "sql",
        "errors",
        "flower",
        "refilter",
        "resume",
        "retry",
        "doctor",
    }


def test_every_line_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "tmp").mkdir()
    write_video(tmp_path / "videos" / "small.mp4", footage(60), B_FRAMES)
    write_video(tmp_path / "videos" / "large.mp4", footage(60, size=(1280, 720)), B_FRAMES)
    (tmp_path / "videos" / "bad.mp4").write_bytes(b"no video")
    write_models(tmp_path / "models")
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "my.yaml").write_text(block)
    for line in LINES:
        done = start(line, tmp_path)
        command = shlex.split(line)[1]
        if command == "flower":
            wait_until(lambda: answers("http://127.0.0.1:5555/tasks"), 60)
            done.terminate()
        out, err = done.communicate(timeout=400)
        assert done.returncode in EXPECTED.get(command, {0}), f"{line}\n{out}\n{err}"
        assert "Traceback" not in err
        if command == "run":  # it says what it will do
            assert "\nstages: probe, split" in err
            assert "\ntable: clips.csv · clips: /" in err
    assert not list((tmp_path / "tmp").glob("pymp-*"))  # of workers that were killed
    with (tmp_path / "clips.csv").open(newline="") as file:
        clips = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    assert clips.keys() == {"large_scene-0.mp4", "small_scene-0.mp4"}
    if MODELS:
        assert {row["option"] for row in clips.values()} <= {"a dog", "a cat", "the sea"}
