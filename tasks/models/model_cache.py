"""Shares models within a process while a stage holds them and their files do not change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from curate.tasks.models.checkpoint import INDEX, PICKLE, PICKLE_INDEX, WEIGHTS

T = TypeVar("T")
State = tuple[int, int] | None

_models: WeakValueDictionary[tuple[object, ...], object] = WeakValueDictionary()


def weights_state(folder: Path) -> State:
    """What changes when a folder's weights are replaced: size in bytes and modification time.

    Weights in several files are represented by their index. None if there is no file.
    """
    for name in (WEIGHTS, INDEX, PICKLE, PICKLE_INDEX):
        try:
            status = (folder / name).stat()
        except OSError:
            continue
        return status.st_size, status.st_mtime_ns
    return None


def cached_model(
    cls: Callable[..., T], folder: Path, *arguments: object, also: Path | None = None
) -> T:
    """``cls(folder, *arguments)``, or the instance of the same weights that is still in use.

    `also` is another folder that it reads weights from.
    """
    key = (cls, folder, weights_state(folder), also and weights_state(also), *arguments)
    model = _models.get(key)
    if model is None:
        model = _models[key] = cls(folder, *arguments)
    return model  # type: ignore[return-value]  # the key starts with its class
