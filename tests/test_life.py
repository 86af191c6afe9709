"""A home is moved, clips are lost, and a repair is killed: real processes cut real videos."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db.engine import make_engine
from tests.drawing import picture
from tests.media import B_FRAMES, write_video
from tests.pipelines import wait_until
from tests.processes import CURATE, descendants, kill

OPTIONS = ["--set", "split.min_seconds=0.5"]
OPTIONS += ["--set", "cut.mode=encode", "--set", "cut.preset=veryslow"]  # one is killed at it
OPTIONS += ["--set", "dedup.enabled=false", "--set", "unique.enabled=false"]
OPTIONS += ["--set", "cut.batch_size=1"]


def curate(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [CURATE, "--home", str(home), *words]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}


def paths(home: Path) -> list[str]:
    """The paths of all clips, as an export has them."""
    return curate(home, "export", "--columns", "path").stdout.split()[1:]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the home of a dataset of four clips of one video, and its videos below it."""
    folder = tmp_path_factory.mktemp("life")
    (folder / "before/videos").mkdir(parents=True)
    frames = [picture(i, scene=i // 24) for i in range(96)]
    write_video(folder / "before/videos/a.mp4", frames, B_FRAMES)
    done = curate(
        folder / "before", "run", str(folder / "before/videos"), "-j", "1",
        "-o", str(folder / "c.csv"), *OPTIONS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_a_home_with_its_videos_is_moved_and_all_goes_on(made: Path, tmp_path: Path) -> None:
    home = tmp_path / "behind"
    shutil.copytree(made / "before", home)
    (made / "before").rename(made / "away")
    try:
        assert curate(home, "verify").returncode == 0
        found = paths(home)
        assert len(found) == 4
        assert all(path.startswith(f"{home}/clips/") and Path(path).is_file() for path in found)
        again = curate(home, "run", str(home / "videos"), "-o", str(tmp_path / "c.csv"))
        assert (again.returncode, "1 unchanged" in again.stderr) == (0, True), again.stderr
        report = curate(home, "view", "-o", str(tmp_path / "report.html"))
        assert (report.returncode, "4 of 4 clips" in report.stdout) == (0, True), report.stderr
    finally:
        (made / "away").rename(made / "before")


def test_a_repair_that_was_killed_is_finished_by_the_next(made: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(made / "before", home)
    found = paths(home)
    whole = [Path(path).read_bytes() for path in found]
    for path in found:
        Path(path).unlink()
    engine = make_engine(f"sqlite:///{home / 'curate.db'}")

    def is_cutting() -> bool:
        with engine.connect() as connection:
            at_work = "SELECT count(*) FROM clips WHERE stage = 'cut' AND owner IS NOT NULL"
            return bool(connection.execute(text(at_work)).scalar_one())

    command = [CURATE, "--home", str(home), "verify", "--repair", "-j", "1"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as repair:
        wait_until(is_cutting, seconds=120)
        os.kill(repair.pid, signal.SIGSTOP)  # it starts no worker anew
        kill(reversed(descendants(repair.pid)))
    assert sum(Path(path).is_file() for path in found) < 4
    done = curate(home, "verify", "--repair", "-j", "1")
    assert "cut again" in done.stdout, done.stderr
    assert curate(home, "verify").returncode == 0
    assert [Path(path).read_bytes() for path in found] == whole
