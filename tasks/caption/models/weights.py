"""The folder of a captioner as published: config.json, tokenizer.json and safetensors, in one file or in several.

Nothing is converted before: names stay the published ones. A look at the headers tells whether all tensors are there,
and the numbers are mapped from the files, so that they cost no memory until they are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from curate.configs.errors import BadModel
from curate.tasks.models import checkpoint
from curate.tasks.models.checkpoint import CONFIG, INDEX, WEIGHTS, Tensor
from curate.tasks.models.layouts import Shapes

TOKENIZER = "tokenizer.json"
_STEP, _LOOK = 1 << 26, 1 << 16  # of every 64 MB, 64 KB tell two files apart


class Weights:
    """Config, tensors by their published names, and the files they are in. Raises BadModel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = checkpoint.read_config(folder / CONFIG)
        self._files = _files(folder)
        self.tensors: dict[str, Tensor] = {}
        self._where: dict[str, Path] = {}
        for file, listed in self._files.items():
            found = checkpoint.header(file)
            if listed is not None and listed != set(found):
                odd = sorted(listed ^ set(found))[0][:100]
                raise BadModel(path=file, why=f"{INDEX} and this file disagree about {odd}")
            self.tensors |= found
            self._where |= dict.fromkeys(found, file)

    def check(self, needed: Shapes, what: str, allowed: Shapes | None = None) -> None:
        """Raise BadModel unless the tensors are those needed, in their shapes; those allowed may be there besides."""
        wrong = list(checkpoint.problems(self.tensors, needed, allowed or {}))
        if wrong:
            raise BadModel(path=self.folder, why=f"{'; '.join(wrong)} (expected {what})")

    def arrays(self, names: Sequence[str]) -> list[NDArray[Any]]:
        """The numbers of tensors, as `checkpoint.arrays` gives them, in the order of their names."""
        found: dict[str, NDArray[Any]] = {}
        for file in dict.fromkeys(self._where[name] for name in names):
            found |= checkpoint.arrays(file, [name for name in names if self._where[name] == file])
        return [found[name] for name in names]

    @cached_property
    def revision(self) -> str:
        """12 hex digits that change with the weights: of the config, of small files whole, else of 64 KB in 64 MB."""
        digest = hashlib.sha256((self.folder / CONFIG).read_bytes())
        for file in self._files:
            with file.open("rb") as opened:
                size = opened.seek(0, 2)
                digest.update(f"{file.name} {size}".encode())
                for start in (*range(0, size, _STEP), max(0, size - _LOOK)):
                    opened.seek(start)
                    digest.update(opened.read(_STEP if size <= _STEP else _LOOK))
        return digest.hexdigest()[:12]


def check_folder(folder: Path, kind: str) -> None:
    """Raise BadModel unless a folder holds whole files, a tokenizer, and a config that says it is of this kind.

    Takes milliseconds. Whether all tensors are there, in their shapes, is found out when the captioner is made.
    """
    found = str(Weights(folder).config.get("model_type"))[:40]
    if kind.startswith("qwen") and found != kind:
        raise BadModel(path=folder / CONFIG, why=f"model_type is {found}, not {kind}")
    if not (folder / TOKENIZER).is_file():
        raise BadModel(path=folder, why=f"it holds no {TOKENIZER}")


def _files(folder: Path) -> Mapping[Path, set[str] | None]:
    """The files of a model, with the names that an index says each holds; None where there is no index."""
    if not folder.is_dir():
        raise BadModel(path=folder, why="it is not a folder" if folder.exists() else "there is no such folder")
    if (folder / WEIGHTS).is_file():
        return {folder / WEIGHTS: None}
    if not (folder / INDEX).is_file():
        raise BadModel(path=folder, why=f"it holds neither {WEIGHTS} nor {INDEX}")
    listed = checkpoint.read_config(folder / INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(f, str) for f in listed.values()):
        raise BadModel(path=folder / INDEX, why="it has no weight_map of names and files")
    found: dict[Path, set[str] | None] = {}
    for file in sorted(set(listed.values())):
        if Path(file).name != file or not (folder / file).is_file():
            raise BadModel(path=folder, why=f"the file {file[:100]} of {INDEX} is not there")
        found[folder / file] = {name for name, where in listed.items() if where == file}
    return found


def size(config: Mapping[str, Any], key: str, default: int | None, largest: int) -> int:
    """A whole number of a config, from 1 to `largest`. Raises ValueError, which says what is wrong."""
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ValueError(f"{key} must be a whole number from 1 to {largest}, not {str(value)[:40]}")
    return value


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Iterable[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a linear layer."""
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)
