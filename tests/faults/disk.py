"""A small disk that can be filled."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

MEGABYTE = b"\0" * (1 << 20)


class Disk:
    """A small file system of its own, which a ballast file fills.

    Without the right to mount it is a plain folder, and `why_not` says why it cannot be filled.
    """

    def __init__(self, folder: Path, megabytes: int, owner: str | None = None) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "curate-faults", str(folder)]
        mount = subprocess.run(command, capture_output=True, text=True)
        reason = mount.stderr.strip() or mount.returncode
        self.why_not = f"no mount: {reason}" if mount.returncode else ""
        if owner:
            shutil.chown(folder, owner)

    def fill(self) -> None:
        """Leave no room."""
        for block in (MEGABYTE, MEGABYTE[:4096]):
            with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(block)

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if not self.why_not:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)
