"""The text tower in a process of its own: loading it takes seconds and much memory.

The process starts with the first text, and anew when it died. It ends with the server, also when
that is killed: its stdin ends then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import IO

import numpy as np

from curate.configs.errors import ServiceError, TextTowerFailed
from curate.tasks.models.embeddings import TextVector
from curate.tasks.models.trial_process import how_it_ended

COMMAND = (sys.executable, "-W", "ignore", "-m", "curate.tasks.models.text_process")
SECONDS = 120.0  # that an answer may take; the first one waits for the weights
END_SECONDS = 5.0  # that a process may take to end which has closed its stdout
LONGEST_ANSWER = 1 << 20  # bytes


class TextTowerProcess:
    """At most one process, which turns texts into vectors, one at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.process: Process | None = None
        self._said: IO[bytes]  # what the process writes to stderr
        self._why = ""  # it ended
        self._turn = asyncio.Lock()

    async def vector(self, folder: Path, text: str) -> TextVector:
        """A text as the tower of a folder sees it.

        Raises TextTowerFailed with what the tower says, ServiceError where the process does not
        answer.
        """
        request = json.dumps({"folder": str(folder), "text": text}).encode() + b"\n"
        async with self._turn:
            was_there = self.process is not None
            line = await self._ask(request)
            if not line and was_there:  # it had died since the last text
                line = await self._ask(request)
        if not line:
            raise ServiceError(what="The text tower", why=self._why)
        answer = json.loads(line)
        if "error" in answer:
            raise TextTowerFailed(why=answer["error"])
        return TextVector(np.array(answer["values"], np.float32), answer["revision"])

    async def end(self, patience: float = 0.0) -> None:
        """End the process, if there is one: after `patience` seconds by a signal."""
        process, self.process = self.process, None
        if process is None:
            return
        if patience:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), patience)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        with self._said as said:
            said.seek(0)
            text = said.read().decode(errors="replace")
        assert process.returncode is not None
        self._why = how_it_ended(process.returncode, text)

    async def _ask(self, request: bytes) -> bytes:
        """The answer to a request; empty, with the reason in `_why`, if the process died."""
        try:
            async with asyncio.timeout(self.seconds):
                process = self.process = self.process or await self._start()
                assert process.stdin and process.stdout
                with contextlib.suppress(ConnectionError):
                    process.stdin.write(request)
                    await process.stdin.drain()
                line = await process.stdout.readline()
        except BaseException as error:
            await self.end()  # its answer must not be taken for that to the next text
            if isinstance(error, TimeoutError):
                why = f"it took longer than {self.seconds:g} s"
                raise ServiceError(what="The text tower", why=why) from None
            raise
        if line.endswith(b"\n"):
            return line
        await self.end(END_SECONDS)
        return b""

    async def _start(self) -> Process:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  read when the process died
        return await asyncio.create_subprocess_exec(
            *COMMAND, stdin=PIPE, stdout=PIPE, stderr=self._said, limit=LONGEST_ANSWER,
            start_new_session=True,  # Ctrl-C is for the server
        )  # fmt: skip
