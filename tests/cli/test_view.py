"""`curate view`: what it prints, who it serves, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from curate.tasks.storage.clip_paths import archive
from tests.cli.conftest import Call, Filled, program
from tests.pipelines import wait_until


def test_a_home_without_a_dataset_says_what_to_type(curate: Call, home: Path) -> None:
    result = curate("view", "--no-open")
    assert result.code == 2
    assert "curate run FOLDER -o clips.csv" in result.err


def test_a_dataset_that_is_not_there(curate: Call, filled: Filled) -> None:
    result = curate("view", "petz", "--no-open")
    assert (result.code, "did you mean pets" in result.err) == (2, True)


def test_a_port_that_is_taken_says_what_to_type(curate: Call, filled: Filled) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = curate("view", "pets", "--no-open", "--port", str(port))
    assert result.code == 4
    assert f"port {port}" in result.err
    assert "curate view pets --port 0" in result.err


def address(serving: subprocess.Popen[bytes], log: Path) -> str:
    """The URL with a token that the program printed once it served."""
    wait_until(lambda: serving.poll() is not None or "showing pets" in log.read_text(), 60)
    return next(line for line in log.read_text().splitlines() if "?token=" in line)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(
    sign: signal.Signals, filled: Filled, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with program(log, "view", "--no-open", "--port", "0") as serving:
        try:
            url = address(serving, log)
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert b"<title>curate view</title>" in answer.read()
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(url.partition("?")[0], timeout=10)
        finally:
            serving.send_signal(sign)
    assert serving.returncode == 0, log.read_text()


def test_it_ends_while_a_page_still_reads(filled: Filled, home: Path, tmp_path: Path) -> None:
    pipe = archive(home / "samples", 2)  # of the video of clip 1
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)  # nobody writes to it, so its reader waits
    log = tmp_path / "log"
    with program(log, "view", "--no-open", "--port", "0") as serving:
        try:
            url, _, token = address(serving, log).partition("/?token=")
            cookie = f"curate_view_{url.rpartition(':')[2]}={token}"
            asked = urllib.request.Request(f"{url}/media/sample/1/0", headers={"Cookie": cookie})
            with pytest.raises(TimeoutError):
                urllib.request.urlopen(asked, timeout=1)
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(30) == 0, log.read_text()
        finally:
            serving.kill()
