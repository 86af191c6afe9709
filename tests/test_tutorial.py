"""Everything that docs/tutorial.md shows is run, in its order, on a folder of three videos."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests import servers
from tests.media import B_FRAMES, footage, write_video
from tests.processes import CURATE

PAGE = (Path(__file__).parent.parent / "docs" / "tutorial.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"^```(console|yaml|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(words: list[str], folder: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
    done = subprocess.run(
        words, cwd=folder, env=clean, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


def test_what_the_page_shows_runs(tmp_path: Path) -> None:
    if servers.redis_program() is None:
        pytest.skip(servers.NO_REDIS)
    (tmp_path / "videos").mkdir()
    for number, size in enumerate([(512, 288), (288, 512), (512, 288)]):
        frames = footage(90, (45,) if number else (), size=size)
        write_video(tmp_path / "videos" / f"{number}.mp4", frames, B_FRAMES)
    for kind, text in SHOWN.findall(PAGE):
        if kind == "yaml":
            (tmp_path / "set.yaml").write_text(text)
        elif kind == "python":
            shard = next((tmp_path / "shards").rglob("*.tar"))  # few sources may leave a side empty
            code = text.replace("shards/train/000000.tar", str(shard))
            run([sys.executable, "-c", code], tmp_path)
        else:
            for line in re.findall(r"^\$ curate (.*)$", text, re.MULTILINE):
                run([CURATE, *shlex.split(line)], tmp_path)
    names = []
    for shard in (tmp_path / "shards").rglob("*.tar"):
        with tarfile.open(shard) as opened:
            names += [name for name in opened.getnames() if name.endswith(".mp4")]
    assert len(names) >= 2
