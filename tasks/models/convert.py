"""Converts published files to a folder of safetensors. No pickle in them is executed.

The folder is created under another name beside its destination, checked as a worker would check it,
and renamed: there is never half a model.
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

from curate.configs.errors import BadModel, UsageError
from curate.tasks.models import mindspore_ckpt, unpickle, words
from curate.tasks.models.catalog import (
    AS_PUBLISHED,
    CATALOG,
    Download,
    Model,
    ModelKind,
    folder_of,
)
from curate.tasks.models.checkpoint import (
    CONFIG,
    FLOATS,
    WEIGHTS,
    digest,
    float32,
    header,
    read_config,
)
from curate.tasks.models.layouts import DTYPES, BadConfig, expected
from curate.tasks.models.published import Published, Renamed, Unknown, recognise
from curate.tasks.models.stored import Stored
from curate.tasks.models.verify import captioner_of, check, verified

# what a model folder may hold: the files that convert and fetch write, and the small files of a
# Hugging Face snapshot
_FILES = {
    WEIGHTS, CONFIG, "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
    "special_tokens_map.json", "preprocessor_config.json",
    *(file.name for model in CATALOG.values() if not model.convert for file in model.files),
}  # fmt: skip


@dataclass(frozen=True)
class Conversion:
    """What to convert: the files of one model, the destination, and whether to replace it.

    `to` is a name below the model folder or a path; empty means the usual name of such a model.
    `words` is CLIP's tokenizer or merges, a file or a folder; None means the one beside the
    sources.
    """

    sources: Sequence[Path]
    model_folder: Path
    to: str = ""
    words: Path | None = None
    force: bool = False


def convert(order: Conversion) -> tuple[ModelKind, Path]:
    """Create the folder of a model; return its kind and folder.

    Raises BadModel; UsageError if the destination may not be replaced.
    """
    as_published = _as_published(order.sources)
    if as_published is not None:
        model, files = as_published
        target = folder_of(order.to or model.name, order.model_folder)
        with replacing(target, order.force) as folder:
            for source, file in zip(order.sources, files, strict=True):
                shutil.copyfile(source, folder / file.name)
            check(folder, model.kind)
        return model.kind, target
    published = _recognised(order.sources)
    config = _config(published, order.sources[0])
    shapes = _checked_shapes(published, config, order.sources[0])
    usual_name = next(model.name for model in CATALOG.values() if model.kind == published.kind)
    target = folder_of(order.to or usual_name, order.model_folder)
    with replacing(target, order.force) as folder:
        if published.kind == "clip":
            (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            _write_tokenizer(order, config["text_config"]["vocab_size"], folder)
        parts = {name: (published.parts[name], shape) for name, shape in shapes.items()}
        with (folder / WEIGHTS).open("wb") as opened:
            _write(opened, parts, order.sources[0])
        verified(folder, published.kind)
    return published.kind, target


def _as_published(sources: Sequence[Path]) -> tuple[Model, list[Download]] | None:
    """The model whose files these are, used without converting, and each file's entry.

    None: they are none. Files are told by size and SHA-256. Raises BadModel.
    """
    for model in CATALOG.values():
        if model.kind not in AS_PUBLISHED:
            continue
        known = {(file.size, file.sha256): file for file in model.files}
        sizes = {size for size, _ in known}
        found = [
            known.get((source.stat().st_size, digest(source)))
            for source in sources
            if source.is_file() and source.stat().st_size in sizes
        ]
        files = [file for file in found if file is not None]
        if len(files) == len(sources):
            return model, files
    return None


def tensors_of(file: Path) -> dict[str, Stored]:
    """The tensors of a torch, MindSpore or safetensors file; its first bytes tell the format.

    Raises BadModel.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(16)
    except OSError as error:
        raise BadModel(path=file, why=error.strerror or str(error)) from None
    # a pickle and the length of a header may begin with the same byte
    is_safetensors = start[4:9] == b"\0\0\0\0{"
    if not is_safetensors and start.startswith((unpickle.ZIP_START, b"\x80")):
        return unpickle.tensors(file)
    if is_safetensors:
        by_name = {}
        for name, tensor in header(file).items():
            length = math.prod(tensor.shape) * np.dtype(DTYPES[tensor.dtype]).itemsize
            by_name[name] = Stored(file, tensor.dtype, tensor.shape, ((tensor.start, length),))
        return by_name
    if start[:1] == b"\x0a":
        return mindspore_ckpt.tensors(file)
    raise BadModel(path=file, why="it is no file by torch, NumPy, MindSpore or safetensors")


def _recognised(sources: Sequence[Path]) -> Published:
    together: dict[str, Stored] = {}
    for source in sources:
        tensors = tensors_of(source)
        twice = [name for name in tensors if name in together]
        if twice:
            raise BadModel(path=source, why=f"{twice[0][:100]} is in another of the files too")
        together |= tensors
    try:
        published = recognise(together)
    except Unknown as error:
        raise BadModel(path=sources[-1], why=str(error)) from None
    if published.kind in AS_PUBLISHED:
        why = f"it is like {published.kind}, of which only the published file is used"
        raise BadModel(path=sources[-1], why=why)
    return published


def _config(published: Published, source: Path) -> Mapping[str, Any]:
    """The config.json beside the source, or else the one computed from the shapes.

    Raises BadModel if there is neither.
    """
    beside = source.absolute().with_name(CONFIG)
    if published.kind != "clip":
        return {}
    if beside.is_file():
        return read_config(beside)
    if not published.config:
        raise BadModel(path=source, why="its config.json is not beside it")
    return published.config


def _checked_shapes(
    published: Published, config: Mapping[str, Any], source: Path
) -> Mapping[str, tuple[int, ...]]:
    """The shapes of the layout. Raises BadModel if parts are missing or left over.

    The shapes of the parts themselves are checked when they are read.
    """
    try:
        shapes = expected(published.kind, config)
    except BadConfig as error:
        raise BadModel(path=source, why=str(error)) from None
    missing = [name for name in shapes if name not in published.parts]
    left_over = [name for name in published.parts if name not in shapes]
    for names, what in ((missing, "missing"), (left_over, "left over")):
        if names:
            some = ", ".join(name[:100] for name in names[:3])
            why = f"{len(names)} tensors {what} for {published.kind}: {some}"
            if names is missing and published.kind == "lpips":
                why += "; name both files, vgg16-397923af.pth of torchvision and vgg.pth of lpips"
            raise BadModel(path=source, why=why)
    return shapes


def _write_tokenizer(order: Conversion, vocabulary: int, folder: Path) -> None:
    source = words.find(order.words or order.sources[0].absolute().parent)
    if source is None:
        what = (
            "CLIP needs its tokenizer, which is not in the weights: give --tokenizer FILE, which "
            "is tokenizer.json, merges.txt, or bpe_simple_vocab_16e6.txt.gz of "
            "https://github.com/openai/CLIP"
        )
        raise UsageError(what=what)
    words.write(source, folder / "tokenizer.json", vocabulary)


def kind_of(folder: Path) -> ModelKind:
    """The kind of model in a folder: of a captioner by its config.json, of others by the names of
    files and tensors.

    Raises BadModel if no known kind matches.
    """
    config = read_config(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    if captioner := captioner_of(config):
        return captioner
    for model in CATALOG.values():
        first = model.files[0].name
        if not model.convert and first != WEIGHTS and (folder / first).is_file():
            return model.kind
    file = folder / WEIGHTS
    try:
        return recognise(tensors_of(file)).kind
    except Unknown as error:
        raise BadModel(path=file, why=str(error)) from None


def check_place(target: Path, force: bool, instead: str = "give another --to") -> None:
    """Raise UsageError unless a model may be written to `target`.

    A folder that is not empty needs `force`, and each of its entries must have the name of a
    model's file. `instead` tells the user what else to do.
    """
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        strange = "it is a link" if target.is_symlink() else "it is a file"
    else:
        others = sorted(p.name for p in target.iterdir() if p.name not in _FILES or not p.is_file())
        strange = f"it holds {others[0][:100]}" if others else ""
    if strange:
        raise UsageError(
            what=f"{target} is no model folder ({strange}), and is left as it is; {instead}"
        )
    if not force and any(target.iterdir()):
        raise UsageError(what=f"{target} is there already; replace it with --force, or {instead}")


@contextmanager
def replacing(target: Path, force: bool) -> Iterator[Path]:
    """A new folder that replaces `target` if the block ends without an error.

    Raises UsageError as `check_place` does, both at the start and at the end.
    """
    target = target.absolute()
    check_place(target, force)
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    new.mkdir(parents=True)
    try:
        yield new
        check_place(target, force)
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write(
    opened: BinaryIO, parts: Mapping[str, tuple[Renamed, tuple[int, ...]]], source: Path
) -> None:
    """Write a safetensors file with one tensor in memory at a time.

    Types other than F32, F16 and BF16 become F32. Raises BadModel for a wrong shape, NaN or
    infinity.
    """
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (part, shape) in parts.items():
        dtype = part.dtype if part.dtype in FLOATS else "F32"
        start, end = end, end + math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # aligns the numbers
    opened.write(len(text).to_bytes(8, "little") + text)
    for name, (part, shape) in parts.items():
        try:
            numbers = part.read()
        except Unknown as error:
            raise BadModel(path=source, why=str(error)) from None
        if numbers.shape != shape:
            why = f"{name} has the shape {list(numbers.shape)} instead of {list(shape)}"
            raise BadModel(path=source, why=why)
        if part.dtype not in FLOATS:
            numbers = numbers.astype(np.float32)
        if not np.isfinite(float32(numbers, part.dtype)).all():
            raise BadModel(path=source, why=f"{name} holds NaN or infinity")
        opened.write(np.ascontiguousarray(numbers).data)
    opened.flush()
    os.fsync(opened.fileno())
