"""A clock that can be set wrong, for chosen processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


class Clock:
    """The system's clock, moved by what a file says (clock.c).

    Processes started with `environment()` live by it. `why_not` says why there is none, if so.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._library = folder / "clock.so"
        self._file.write_bytes(bytes(8))
        self._file.chmod(0o644)
        self.why_not = "no C compiler (cc)"
        if compiler := shutil.which("cc"):
            source = str(Path(__file__).with_name("clock.c"))
            command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), source]
            compiled = subprocess.run(command, capture_output=True, text=True)
            self.why_not = compiled.stderr and "clock.c does not compile"

    def set(self, seconds: int) -> None:
        """Move it by so many seconds from the system's."""
        with self._file.open("r+b") as file:  # in place: the file is mapped
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def environment(self) -> dict[str, str]:
        """The variables that make a process live by this clock; none if there is no clock."""
        if self.why_not:
            return {}
        return {"LD_PRELOAD": str(self._library), "FAULT_CLOCK": str(self._file)}
