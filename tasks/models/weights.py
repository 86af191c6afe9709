"""The folder of a captioner as published: config.json, words, and safetensors or pickles, in one
file or in several.

Nothing is converted before: names stay the published ones. A look at the headers tells whether all
tensors are there, and the numbers are mapped from the files, so that they cost no memory until they
are read. No pickle is executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from curate.configs.errors import BadModel
from curate.tasks.models import checkpoint, unpickle
from curate.tasks.models.checkpoint import CONFIG, INDEX, PICKLE, PICKLE_INDEX, WEIGHTS, Tensor
from curate.tasks.models.layouts import Shapes
from curate.tasks.models.stored import Stored

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
        self._pickled: dict[str, Stored] = {}
        for file, listed in self._files.items():
            found = self._header(file)
            if listed is not None and listed != set(found):
                odd = sorted(listed ^ set(found))[0][:100]
                raise BadModel(
                    path=file, why=f"the index of the folder and this file disagree about {odd}"
                )
            self.tensors |= found
            self._where |= dict.fromkeys(found, file)

    def _header(self, file: Path) -> dict[str, Tensor]:
        if file.suffix != Path(PICKLE).suffix:
            return checkpoint.header(file)
        pickled = unpickle.tensors(file)
        self._pickled |= pickled
        return {name: Tensor(stored.shape, stored.dtype, 0) for name, stored in pickled.items()}

    def check(
        self, needed: Shapes, what: str, allowed: Shapes | None = None, unread: Shapes | None = None
    ) -> None:
        """Raise BadModel unless the tensors are those needed, in their shapes.

        Besides may be there those allowed, of whole numbers, and those unread, of any.
        """
        found = {name: t for name, t in self.tensors.items() if (unread or {}).get(name) != t.shape}
        wrong = list(checkpoint.problems(found, needed, allowed or {}))
        if wrong:
            raise BadModel(path=self.folder, why=f"{'; '.join(wrong)} (expected {what})")

    def arrays(self, names: Sequence[str]) -> list[NDArray[Any]]:
        """The numbers of tensors, as `checkpoint.arrays` gives them, in the order of their names."""
        pickled = {name: self._pickled[name] for name in names if name in self._pickled}
        found = {
            name: checkpoint.float32(stored.read(), stored.dtype)
            for name, stored in pickled.items()
        }
        for file in dict.fromkeys(self._where[name] for name in names if name not in pickled):
            found |= checkpoint.arrays(file, [name for name in names if self._where[name] == file])
        return [found[name] for name in names]

    @cached_property
    def revision(self) -> str:
        """12 hex digits that change with the weights: of the config, of small files whole, else of
        64 KB in 64 MB.
        """
        digest = hashlib.sha256((self.folder / CONFIG).read_bytes())
        for file in self._files:
            with file.open("rb") as opened:
                size = opened.seek(0, 2)
                digest.update(f"{file.name} {size}".encode())
                for start in (*range(0, size, _STEP), max(0, size - _LOOK)):
                    opened.seek(start)
                    digest.update(opened.read(_STEP if size <= _STEP else _LOOK))
        return digest.hexdigest()[:12]


def _files(folder: Path) -> Mapping[Path, set[str] | None]:
    """The files of a model, with the names that an index says each holds; None where there is no
    index.

    Pickles are looked for where there are no safetensors.
    """
    if not folder.is_dir():
        raise BadModel(
            path=folder, why="it is not a folder" if folder.exists() else "there is no such folder"
        )
    for whole, index in ((WEIGHTS, INDEX), (PICKLE, PICKLE_INDEX)):
        if (folder / whole).is_file():
            return {folder / whole: None}
        if (folder / index).is_file():
            return _listed(folder, index, Path(whole).suffix)
    raise BadModel(
        path=folder, why=f"it holds neither {WEIGHTS} nor {PICKLE}, nor an index of several files"
    )


def _listed(folder: Path, index: str, suffix: str) -> Mapping[Path, set[str] | None]:
    listed = checkpoint.read_config(folder / index).get("weight_map")
    if (
        not isinstance(listed, dict)
        or not listed
        or not all(isinstance(f, str) for f in listed.values())
    ):
        raise BadModel(path=folder / index, why="it has no weight_map of names and files")
    found: dict[Path, set[str] | None] = {}
    for file in sorted(set(listed.values())):
        if Path(file).name != file or not file.endswith(suffix) or not (folder / file).is_file():
            raise BadModel(path=folder, why=f"the file {file[:100]} of {index} is not there")
        found[folder / file] = {name for name, where in listed.items() if where == file}
    return found
