"""Inputs in local folders: everything below a folder, or what a glob matches."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator

from curate.tasks.inputs.extensions import is_media
from curate.tasks.inputs.files import Input, PassedOver, local_input
from curate.tasks.inputs.paths import is_url, to_text


class FolderWalk:
    """Walks a folder, with the names of only one folder per level in memory.

    It enters a linked folder only when the target lies outside the tree, and only once. Files
    inside the tree are found under their own names, so links can neither loop nor multiply. It does
    not enter folders of `own`, absolute paths, either.
    """

    def __init__(
        self, root: str, passed_over: PassedOver, own: frozenset[str] = frozenset()
    ) -> None:
        self._base = os.path.abspath(root)  # noqa: PTH100
        self._own = {os.path.realpath(path) for path in own if not is_url(path)}
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
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        others = []
        for entry in visible:
            if is_media(entry.name):
                yield local_input(entry.path, self._base)
            is_folder = False
            with contextlib.suppress(OSError):  # a link to itself
                is_folder = entry.is_dir()
            if is_folder:
                if self._enters(entry, outside):
                    yield from self.inputs(entry.path, outside or entry.is_symlink())
            elif not is_media(entry.name) and entry.path not in self._own:
                others.append(entry.name)
        self._passed_over.count_others(others, (entry.name for entry in visible))

    def _enters(self, entry: os.DirEntry[str], outside: bool) -> bool:
        """Whether a folder is to be walked."""
        target = os.path.realpath(entry.path) if outside or self._own or entry.is_symlink() else ""
        if target in self._own:
            self._passed_over.own.append(to_text(entry.path))
            return False
        if not outside and not entry.is_symlink():
            return True
        if target in self._linked or f"{target}/".startswith(f"{self._real}/"):
            return False
        self._linked.add(target)
        return True


def match_glob(pattern: str, passed_over: PassedOver) -> Iterator[Input]:
    """Inputs whose paths match a glob, in the order of their names.

    relpath is relative to the folder before the first special character.
    """
    fixed = pattern[: min((pattern.find(c) for c in "*?[" if c in pattern), default=0)]
    base = os.path.abspath(os.path.dirname(fixed) or ".")  # noqa: PTH100, PTH120
    paths = sorted(set(glob.glob(pattern, recursive=True)))  # noqa: PTH207
    for path in paths:
        if is_media(path):
            yield local_input(path, base)
    others = (p for p in paths if not is_media(p) and not os.path.isdir(p))  # noqa: PTH112
    passed_over.count_others(others, paths)
