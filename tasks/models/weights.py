"""Reads a captioner's folder as published: config.json, tokenizer, safetensors or pickles.

Nothing is converted: tensors keep their published names. Headers tell whether all tensors are
there; the numbers are mapped from the files and use no memory until they are read. No pickle is
executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.configs.errors import BadModel
from curate.tasks.models import checkpoint
from curate.tasks.models.checkpoint import CONFIG, INDEX, PICKLE, PICKLE_INDEX, WEIGHTS, Tensor
from curate.tasks.models.layouts import Shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curate.tasks.models.stored import Stored

TOKENIZER = "tokenizer.json"
_STEP, _LOOK = 1 << 26, 1 << 16  # bytes: the revision reads 64 KB of every 64 MB


class Weights:
    """A config, tensors by published name, and their files. Raises BadModel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = checkpoint.read_config(folder / CONFIG)
        self._files = _files(folder)
        self.tensors: dict[str, Tensor] = {}
        self._file_of: dict[str, Path] = {}
        self._pickled: dict[str, Stored] = {}
        for file, listed in self._files.items():
            if file.suffix == Path(PICKLE).suffix:
                from curate.tasks.models import unpickle

                pickled = unpickle.tensors(file)
                self._pickled |= pickled
                tensors = {name: Tensor(t.shape, t.dtype, 0) for name, t in pickled.items()}
            else:
                tensors = checkpoint.header(file)
            if listed is not None and listed != set(tensors):
                odd = sorted(listed ^ set(tensors))[0][:100]
                why = f"the index of the folder and this file disagree about {odd}"
                raise BadModel(path=file, why=why)
            self.tensors |= tensors
            self._file_of |= dict.fromkeys(tensors, file)

    def check(
        self, needed: Shapes, what: str, allowed: Shapes | None = None, unread: Shapes | None = None
    ) -> None:
        """Raise BadModel unless the tensors are those needed, in their shapes.

        Those in `allowed` (integers) and in `unread` (any type) may be there as well.
        """
        read = {name: t for name, t in self.tensors.items() if (unread or {}).get(name) != t.shape}
        wrong = list(checkpoint.problems(read, needed, allowed or {}))
        if wrong:
            raise BadModel(path=self.folder, why=f"{'; '.join(wrong)} (expected {what})")

    def arrays(self, names: Sequence[str]) -> list[NDArray[Any]]:
        """The numbers of tensors in the order of `names`, read as by `checkpoint.arrays`."""
        by_name = {
            name: checkpoint.float32(self._pickled[name].read(), self._pickled[name].dtype)
            for name in names
            if name in self._pickled
        }
        for file in dict.fromkeys(self._file_of[name] for name in names if name not in by_name):
            in_file = [name for name in names if self._file_of[name] == file]
            by_name |= checkpoint.arrays(file, in_file)
        return [by_name[name] for name in names]

    @cached_property
    def revision(self) -> str:
        """12 hex digits that change with the config or the weights.

        Small files are hashed whole, others by 64 KB in every 64 MB.
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
    """The files of a model, each with the tensor names that an index lists for it.

    The names are None if there is no index. Pickles are used only if there are no safetensors.
    """
    if not folder.is_dir():
        why = "it is not a folder" if folder.exists() else "there is no such folder"
        raise BadModel(path=folder, why=why)
    for whole, index in ((WEIGHTS, INDEX), (PICKLE, PICKLE_INDEX)):
        if (folder / whole).is_file():
            return {folder / whole: None}
        if (folder / index).is_file():
            file_of = checkpoint.read_config(folder / index).get("weight_map")
            texts = isinstance(file_of, dict) and all(isinstance(f, str) for f in file_of.values())
            if not file_of or not texts:
                raise BadModel(path=folder / index, why="it has no weight_map of names and files")
            names: dict[Path, set[str] | None] = {}
            for file in sorted(set(file_of.values())):
                is_name = Path(file).name == file and file.endswith(Path(whole).suffix)
                if not is_name or not (folder / file).is_file():
                    why = f"the file {file[:100]} of {index} is not there"
                    raise BadModel(path=folder, why=why)
                names[folder / file] = {name for name in file_of if file_of[name] == file}
            return names
    why = f"it holds neither {WEIGHTS} nor {PICKLE}, nor an index of several files"
    raise BadModel(path=folder, why=why)
