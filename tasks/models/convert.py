"""From a published file to a folder of safetensors that the stages load. No pickle in it is
executed.

The folder is made beside its place under another name, checked as a worker would check it, and
renamed: there is never half a model.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import BadModel, UsageError
from curate.tasks.models import mindspore_ckpt, unpickle, words
from curate.tasks.models.catalog import CATALOG, Kind, folder_of
from curate.tasks.models.checkpoint import CONFIG, WEIGHTS, float32, header, read_config
from curate.tasks.models.layouts import BadConfig, expected
from curate.tasks.models.published import Part, Published, Unknown, recognise
from curate.tasks.models.stored import DTYPES, Stored
from curate.tasks.models.verify import verified

_KEPT = ("F32", "F16", "BF16")  # types that are written as they are; others become F32
# what a model folder may hold: what is made here and by fetch, and the small files of a snapshot by
# Hugging Face
_FILES = {
    WEIGHTS, CONFIG, "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
    "preprocessor_config.json",
}  # fmt: skip


@dataclass(frozen=True)
class Conversion:
    """What to convert: files that make one model together, where to, and whether to replace what is
    there.

    `to` is a name below the model folder or a path; empty: the usual name of such a model. `words`
    is CLIP's tokenizer or merges, a file or a folder; None: what lies beside the sources.
    """

    sources: Sequence[Path]
    model_folder: Path
    to: str = ""
    words: Path | None = None
    force: bool = False


def convert(order: Conversion) -> tuple[Kind, Path]:
    """Make the folder of a model; returns what it is and where. Raises BadModel; UsageError when it
    is there.
    """
    found = _recognised(order.sources)
    shapes = _checked(found, order.sources)
    target = folder_of(order.to or _usual_name(found.kind), order.model_folder)
    with replacing(target, order.force) as folder:
        if found.kind == "clip":
            _write_clip_files(found, order, folder)
        with (folder / WEIGHTS).open("wb") as opened:
            _write(
                opened,
                {name: (found.parts[name], shape) for name, shape in shapes.items()},
                order.sources[0],
            )
        verified(folder, found.kind)
    return found.kind, target


def tensors_of(file: Path) -> dict[str, Stored]:
    """The tensors of a file by torch, MindSpore or safetensors, told apart by how it begins. Raises
    BadModel.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(16)
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    if start.startswith((unpickle.ZIP_START, unpickle.OLD_START)) or start[:1] == b"\x80":
        return unpickle.tensors(file)
    if start[8:9] == b"{":
        sizes = {name: np.dtype(DTYPES[t.dtype]).itemsize for name, t in header(file).items()}
        return {
            n: Stored(file, t.dtype, t.shape, ((t.start, math.prod(t.shape) * sizes[n]),))
            for n, t in header(file).items()
        }
    if start[:1] == b"\x0a":
        return mindspore_ckpt.tensors(file)
    raise BadModel(path=file, why="it is no file by torch, MindSpore or safetensors")


def _recognised(sources: Sequence[Path]) -> Published:
    together: dict[str, Stored] = {}
    for source in sources:
        found = tensors_of(source)
        twice = [name for name in found if name in together]
        if twice:
            raise BadModel(path=source, why=f"{twice[0][:100]} is in another of the files too")
        together |= found
    try:
        return recognise(together)
    except Unknown as error:
        raise BadModel(path=sources[-1], why=str(error)) from None


def _checked(found: Published, sources: Sequence[Path]) -> Mapping[str, tuple[int, ...]]:
    """The shapes of the layout, when all parts are there and no others. Their own shapes show when
    they are read.
    """
    config = _config(found, sources)
    try:
        shapes = expected(found.kind, config)
    except BadConfig as error:
        raise BadModel(path=sources[0], why=str(error)) from None
    for names, what in (
        ([n for n in shapes if n not in found.parts], "missing"),
        ([n for n in found.parts if n not in shapes], "left over"),
    ):
        if names:
            shown = ", ".join(n[:100] for n in names[:3])
            hint = _other_half(found.kind, names) if what == "missing" else ""
            raise BadModel(
                path=sources[0], why=f"{len(names)} tensors {what} for {found.kind}: {shown}{hint}"
            )
    return shapes


def _other_half(kind: Kind, names: Sequence[str]) -> str:
    """LPIPS was published in two files."""
    if kind != "lpips":
        return ""
    return "; name both files, vgg16-397923af.pth of torchvision and vgg.pth of lpips"


def _config(found: Published, sources: Sequence[Path]) -> Mapping[str, Any]:
    """The config.json beside the source, else the one computed from the shapes. Raises BadModel
    where there is none.
    """
    beside = sources[0].absolute().with_name(CONFIG)
    if found.kind != "clip":
        return {}
    if beside.is_file():
        return read_config(beside)
    if not found.config:
        raise BadModel(path=sources[0], why="its config.json is not beside it")
    return found.config


def _write_clip_files(found: Published, order: Conversion, folder: Path) -> None:
    config = _config(found, order.sources)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    source = words.find(order.words or order.sources[0].absolute().parent)
    if source is None:
        what = (
            "CLIP needs its tokenizer, which is not in the weights: give --tokenizer FILE, which is tokenizer.json, "
            "merges.txt, or bpe_simple_vocab_16e6.txt.gz of https://github.com/openai/CLIP"
        )
        raise UsageError(what=what)
    words.write(source, folder / "tokenizer.json", config["text_config"]["vocab_size"])


def _usual_name(kind: Kind) -> str:
    return next(model.name for model in CATALOG.values() if model.kind == kind)


def kind_of(folder: Path) -> Kind:
    """What model a folder holds, by the names of its tensors. Raises BadModel when it holds none
    that is known.
    """
    file = folder / WEIGHTS
    try:
        return recognise(tensors_of(file)).kind
    except Unknown as error:
        raise BadModel(path=file, why=str(error)) from None


def check_place(target: Path, force: bool, instead: str = "give another --to") -> None:
    """Raise UsageError where a model may not be put: anything but a model folder is there, or one
    without `force`.

    A folder is replaced only when every entry is a file of a model by its name; `instead` says what
    else can be done.
    """
    if not os.path.lexists(target):
        return
    strange = _strange(target)
    if strange:
        raise UsageError(
            what=f"{target} is no model folder ({strange}), and is left as it is; {instead}"
        )
    if not force and any(target.iterdir()):
        raise UsageError(what=f"{target} is there already; replace it with --force, or {instead}")


def _strange(target: Path) -> str:
    """What shows that something is no model folder; empty for one, and for an empty folder."""
    if target.is_symlink() or not target.is_dir():
        return "it is a link" if target.is_symlink() else "it is a file"
    others = sorted(p.name for p in target.iterdir() if p.name not in _FILES or not p.is_file())
    return f"it holds {others[0][:100]}" if others else ""


@contextmanager
def replacing(target: Path, force: bool) -> Iterator[Path]:
    """A new folder that takes the place of `target` when the block ends without an error.

    Raises UsageError where `check_place` does, at the start and again at the end.
    """
    target = target.absolute()
    check_place(target, force)
    made = target.with_name(f".{target.name}.{os.getpid()}.new")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    made.mkdir(parents=True)
    try:
        yield made
        check_place(target, force)
        if target.exists():
            target.rename(old)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write(
    opened: BinaryIO, parts: Mapping[str, tuple[Part, tuple[int, ...]]], source: Path
) -> None:
    """Write a safetensors file with one tensor in memory at a time. Raises BadModel for a shape,
    NaN or infinity.
    """
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (part, shape) in parts.items():
        dtype = part.dtype if part.dtype in _KEPT else "F32"
        start, end = end, end + math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers begin at a multiple of their size
    opened.write(len(text).to_bytes(8, "little") + text)
    for name, (part, shape) in parts.items():
        opened.write(_numbers(part, shape, name, source).data)
    opened.flush()
    os.fsync(opened.fileno())


def _numbers(part: Part, shape: tuple[int, ...], name: str, source: Path) -> NDArray[Any]:
    try:
        numbers = part.read()
    except Unknown as error:
        raise BadModel(path=source, why=str(error)) from None
    if numbers.shape != shape:
        raise BadModel(
            path=source, why=f"{name} has the shape {list(numbers.shape)} instead of {list(shape)}"
        )
    if part.dtype not in _KEPT:
        numbers = numbers.astype(np.float32)
    if not np.isfinite(float32(numbers, part.dtype)).all():
        raise BadModel(path=source, why=f"{name} holds NaN or infinity")
    return np.ascontiguousarray(numbers)
