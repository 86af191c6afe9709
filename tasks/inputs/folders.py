"""Inputs in local folders: everything below a folder, or what a glob matches."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from curate.tasks.inputs.extensions import is_media
from curate.tasks.inputs.files import Input, PassedOver, local_input
from curate.tasks.inputs.paths import to_text


class FolderWalk:
    """Walks a folder, with the names of only one folder per level in memory.

    It enters a linked folder only when the target lies outside the tree, and only once. Files
    inside the tree are found under their own names, so links can neither loop nor multiply.
    """

    def __init__(self, root: str, passed_over: PassedOver) -> None:
        self._base = os.path.abspath(root)  # noqa: PTH100
        self._real = os.path.realpath(root)
        self._passed_over = passed_over
        self._linked: set[str] = {self._real}

    def inputs(self, folder: str | None = None, outside: bool = False) -> Iterator[Input]:
        """Inputs in the order of their names, a folder's content at the position of its name.

        `folder` is the part of the tree to walk; None: all of it. `outside`: a link led there.
        """
        folder = folder or self._base
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name)
        except OSError as error:
            reason = error.strerror or str(error)
            self._passed_over.unreadable.append((to_text(folder), reason))
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if is_media(entry.name):
                yield local_input(entry.path, self._base)
            if self._enters(entry, outside):
                yield from self.inputs(entry.path, outside or entry.is_symlink())

    def _enters(self, entry: os.DirEntry[str], outside: bool) -> bool:
        """Whether an entry is a folder to walk."""
        try:
            if not entry.is_dir():
                return False
        except OSError:  # a link to itself
            return False
        if not outside and not entry.is_symlink():
            return True
        target = os.path.realpath(entry.path)
        if target in self._linked or f"{target}/".startswith(f"{self._real}/"):
            return False
        self._linked.add(target)
        return True


def match_glob(pattern: str) -> Iterator[Input]:
    """Inputs whose paths match a glob, in the order of their names.

    relpath is relative to the folder before the first special character.
    """
    fixed = pattern[: min((pattern.find(c) for c in "*?[" if c in pattern), default=0)]
    base = os.path.abspath(os.path.dirname(fixed) or ".")  # noqa: PTH100, PTH120
    for path in sorted(set(glob.glob(pattern, recursive=True))):  # noqa: PTH207
        if is_media(path):
            yield local_input(path, base)
