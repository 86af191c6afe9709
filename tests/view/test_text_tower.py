"""The process of the text tower: how it ends, and what is told when it does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from curate.configs.errors import ServiceError
from curate.view import text_tower
from curate.view.text_tower import TextTowerProcess
from tests.pipelines import wait_until

PARENT = """
import asyncio
from pathlib import Path
from curate.view.text_tower import TextTowerProcess

async def main():
    tower = TextTowerProcess()
    asking = asyncio.create_task(tower.vector(Path("/nothing"), "a dog"))
    while tower.process is None:
        await asyncio.sleep(0.01)
    print(tower.process.pid, flush=True)
    await asking
    await asyncio.sleep(60)

asyncio.run(main())
"""


def does(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let the process run a script of Python."""
    monkeypatch.setattr(text_tower, "COMMAND", (sys.executable, "-c", script))


def asked(seconds: float = 60) -> tuple[str, int | None]:
    """What is said to a text, and the process that is left then."""

    async def ask() -> tuple[str, int | None]:
        tower = TextTowerProcess(seconds)
        with pytest.raises(ServiceError) as raised:
            await tower.vector(Path("/nothing"), "a dog")
        left = tower.process.pid if tower.process else None
        await tower.end()
        return str(raised.value), left

    return asyncio.run(ask())


def test_a_process_that_dies_says_how_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, "import sys; print('x', file=sys.stderr); sys.exit('no such thing')")
    assert "its process ended with code 1: no such thing." in asked()[0]
    does(monkeypatch, "import os; os.kill(os.getpid(), 11)")
    assert "its process ended with signal 11" in asked()[0]


def test_half_an_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, "print('{', end='')")
    assert "its process ended with code 0" in asked()[0]


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, "import time; time.sleep(60)")
    message, left = asked(0.2)
    assert "it took longer than 0.2 s" in message
    assert left is None


def test_an_error_of_the_tower_is_told_as_it_is_and_its_process_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    does(monkeypatch, """for _ in open(0): print('{"error": "Do `this`"}', flush=True)""")
    message, left = asked()
    assert message == "The search by text does not work. Do `this`"
    assert left is not None and not psutil.pid_exists(left)


COUNTS = """
import json, os
for line in open(0):
    text = json.loads(line)["text"]
    print(json.dumps({"values": [len(text), 0.1], "revision": str(os.getpid())}), flush=True)
"""


def test_one_process_takes_texts_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, COUNTS)

    async def ask() -> None:
        tower = TextTowerProcess()
        texts = ["a" * n for n in range(5)]
        found = await asyncio.gather(*(tower.vector(Path(), text) for text in texts))
        assert [float(vector.values[0]) for vector in found] == [0, 1, 2, 3, 4]
        assert len({vector.revision for vector in found}) == 1
        assert found[0].values.dtype == "float32"
        await tower.end()
        await tower.end()

    asyncio.run(ask())


def test_a_process_that_was_killed_is_replaced_at_the_next_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    does(monkeypatch, COUNTS)

    async def ask() -> None:
        tower = TextTowerProcess()
        first = await tower.vector(Path(), "a")
        os.kill(int(first.revision), signal.SIGKILL)
        second = await tower.vector(Path(), "aa")
        assert second.values[0] == 2
        assert second.revision != first.revision
        await tower.end()

    asyncio.run(ask())


def test_who_no_longer_asks_ends_it_and_the_next_text_has_its_own_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = """
import json, time
for line in open(0):
    text = json.loads(line)["text"]
    time.sleep(len(text))
    print(json.dumps({"values": [len(text)], "revision": "r"}), flush=True)
"""
    does(monkeypatch, script)

    async def ask() -> None:
        tower = TextTowerProcess()
        slow = asyncio.create_task(tower.vector(Path(), "a" * 60))
        while tower.process is None:
            await asyncio.sleep(0.01)
        slow.cancel()
        assert (await tower.vector(Path(), "")).values.tolist() == [0]
        await tower.end()

    asyncio.run(ask())


def test_it_ends_when_its_parent_is_killed_while_it_is_at_work() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 30)
