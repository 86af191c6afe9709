"""The command lines behind `Next:` run as they are printed, where they are printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cli.conftest import Call, Filled, finish_clips, give_pipeline

NEXT = re.compile(r"^(?:Next|  or): (.*)$", re.MULTILINE)
STAYS = ("worker", "--watch")  # until they are told to stop
SCENARIOS: dict[str, list[str]] = {
    "status": ["status"],
    "errors": ["errors"],
    "filter": ["filter"],
    "show": ["show", "4"],
    "stats": ["stats"],
    "datasets": ["datasets"],
    "refilter": ["refilter", "--set", "unique.where=duplicate <= 1"],
    "refilter --dry-run": ["refilter", "--dry-run", "--set", "unique.where=duplicate <= 1"],
    "pick drop": ["pick", "drop", "1"],
    "sql": ["sql"],
    "stages": ["stages"],
    "config": ["config"],
    "config of a dataset": ["config", "pets"],
    "presets": ["config", "--presets"],
    "init": ["init", "a b.yaml"],
    "set": ["set", "cut.time_limit=60"],
    "retry": ["retry"],
    "redo": ["redo", "motion"],
    "pause": ["pause"],
    "cancel": ["cancel", "pets"],
    "workers": ["workers"],
    "models list": ["models", "list"],
    "enqueue -n": ["enqueue", "-n", "my videos", "--name", "other"],
    "enqueue": ["enqueue", "my videos", "--name", "other"],
    "db upgrade": ["db", "upgrade"],
}


def next_lines(said: str) -> list[list[str]]:
    """The command lines that a text tells, as words."""
    return [shlex.split(line) for line in NEXT.findall(said)]


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("with_home", [False, True], ids=["", "--home"])
def test_what_comes_next_runs_as_printed(
    curate: Call,
    filled: Filled,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    with_home: bool,
) -> None:
    place = tmp_path / "here"
    (place / "my videos").mkdir(parents=True)
    (place / "my videos" / "a.mp4").write_bytes(b"x")
    monkeypatch.chdir(place)
    finish_clips(filled, "UPDATE videos SET status = 'kept', stage = 'done'")
    words = SCENARIOS[name]
    if with_home:
        monkeypatch.delenv("CURATE_HOME")
        words = ["--home", os.path.relpath(home), *words]
    done = curate(*words)
    assert done.code == 0, done.err
    lines = next_lines(done.err)
    assert lines or name in ("retry",), done.err
    for line in lines:
        assert line[0] == "curate"
        assert ("--home" in line) == with_home
        if "fetch" in line or "doctor" in line or "resume" in line:  # of the net; of the host; long
            line += ["--help"]
        if any(word in line for word in STAYS):
            assert stays(line[1:]), line
            continue
        assert curate(*line[1:]).code == 0, line


def stays(words: list[str]) -> bool:
    """Whether the command says something and runs until SIGINT, or to a good end by itself."""
    command = [sys.executable, "-u", "-m", "curate.cli.main", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        assert run.stdout is not None
        first = run.stdout.readline()  # its handlers of signals are there
        run.send_signal(signal.SIGINT)
        rest, _ = run.communicate(timeout=60)
    # Python ends by SIGINT, 130 for a shell, when one came while a string was compiled in an import
    assert run.returncode in (0, 130, -signal.SIGINT), (first + rest).decode()
    return b"error" not in first + rest


def test_the_filter_to_change_is_the_one_that_dropped_most_and_keeps_its_predicate(
    curate: Call, filled: Filled
) -> None:
    odd = "text IS NULL OR text <> 'a: \"b\" # c'"
    give_pipeline(filled, ["probe", "split", {"filter": "odd", "where": odd}])
    (line, _) = next_lines(curate("filter").err)
    before = filled.engine.connect().execute(text("SELECT pipeline FROM datasets")).scalar_one()
    assert curate(*line[1:]).code == 0
    after = filled.engine.connect().execute(text("SELECT pipeline FROM datasets")).scalar_one()
    assert json.loads(after) == json.loads(before)
