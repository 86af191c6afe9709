"""Models kept in memory: once a process, as long as a stage holds one, and as long as its file
stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from curate.tasks.models.checkpoint import INDEX, PICKLE, PICKLE_INDEX, WEIGHTS

T = TypeVar("T")
State = tuple[int, int] | None

_kept: WeakValueDictionary[tuple[object, ...], object] = WeakValueDictionary()


def state(folder: Path) -> State:
    """What changes when the weights in a folder are replaced: size in bytes and time of change;
    None: no file.

    Of weights in several files those of their index.
    """
    for name in (WEIGHTS, INDEX, PICKLE, PICKLE_INDEX):
        try:
            found = (folder / name).stat()
        except OSError:
            continue
        return found.st_size, found.st_mtime_ns
    return None


def kept(cls: Callable[..., T], folder: Path, *arguments: object, also: Path | None = None) -> T:
    """``cls(folder, *arguments)``, or the one made earlier that somebody still holds, of the same
    weights.

    `also` is another folder that it takes weights from.
    """
    key = (cls, folder, state(folder), also and state(also), *arguments)
    found = _kept.get(key)
    if found is None:
        found = _kept[key] = cls(folder, *arguments)
    return found  # type: ignore[return-value]  # the key begins with its class
