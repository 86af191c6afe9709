"""The real program, in a process of its own: exit codes, streams, signals, locale."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from curate.cli import main
from tests.cli.conftest import Filled


def program(*argv: str) -> subprocess.Popen[str]:
    """The real program in a process of its own."""
    command = [sys.executable, "-m", "curate.cli.main", *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_real_program_sets_its_exit_code() -> None:
    with program("status") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: ")


def test_a_program_that_ends_leaves_the_database_in_one_file(tmp_path: Path) -> None:
    with program("--home", str(tmp_path), "db", "upgrade") as process:
        process.communicate()
    assert [path.name for path in tmp_path.iterdir()] == ["curate.db"]


def test_a_reader_that_goes_away_is_no_error_to_tell(filled: Filled) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "curate.cli.main", "-q", "export"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    # the remark that rows are left may come before or after the pipe is found closed
    said = [
        line
        for line in done.stderr.splitlines()
        if not line.startswith("warning: 2 rows are not through yet")
    ]
    assert (done.returncode, said) == (main.PIPE_CLOSED, [])


def in_shell(words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real program, called by a shell; `curate` in the words is its command line."""
    command = words.replace("curate", f"{sys.executable} -m curate.cli.main")
    env = os.environ | {"CURATE_HOME": str(home)} | environment
    return subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True)


def test_output_that_is_full_closed_or_ascii_is_no_traceback(tmp_path: Path) -> None:
    full = in_shell("curate config --yaml > /dev/full", tmp_path)
    why = "what was asked for cannot be written to standard output: No space left on device"
    assert (full.returncode, full.stderr) == (1, f"error: {why}\n")
    closed = in_shell("curate stages >&-", tmp_path)
    assert (closed.returncode, closed.stderr) == (0, "Next: curate stages cut\n")
    assert in_shell("curate stages -q 2>&-", tmp_path).returncode == 0
    said = in_shell("curate config caf\u00e9", tmp_path, PYTHONIOENCODING="ascii")
    assert (said.returncode, said.stderr[:7]) == (2, "error: ")


def test_sigterm_is_not_swallowed() -> None:
    with program("stages", "--json") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == -signal.SIGTERM


def test_in_the_locale_c_the_program_speaks_utf8(tmp_path: Path) -> None:
    """One file is one row, and its name can be printed, whichever locale saw it first."""
    folder = tmp_path / "v"
    folder.mkdir()
    (folder / "\u00e9\u65e5.mp4").write_bytes(b"x")
    locale_c = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    told = []
    for variables in ({"LC_ALL": "C.UTF-8"}, locale_c):
        done = subprocess.run(
            [sys.executable, "-m", "curate.cli.main", "enqueue", str(folder), "--json"],
            env=os.environ | variables | {"CURATE_HOME": str(tmp_path / "home")},
            capture_output=True,
            check=True,
        )
        told.append(json.loads(done.stdout))
    assert [(found["new"], found["unchanged"]) for found in told] == [(1, 0), (0, 1)]
    done = subprocess.run(
        [sys.executable, "-m", "curate.cli.main", "sql", "SELECT relpath FROM videos"],
        env=os.environ | locale_c | {"CURATE_HOME": str(tmp_path / "home")},
        capture_output=True,
        check=True,
    )
    assert "\u00e9\u65e5.mp4" in done.stdout.decode("utf-8")
