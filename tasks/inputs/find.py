"""Finds the inputs of `curate enqueue PATH`: a folder, a glob, a table of paths, or a URL."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

from curate.configs.errors import NoInput
from curate.tasks.inputs.extensions import (
    IMAGE_EXTENSIONS,
    TABLE_EXTENSIONS,
    VIDEO_EXTENSIONS,
    extension,
)
from curate.tasks.inputs.files import Input, PassedOver, local_input
from curate.tasks.inputs.folders import FolderWalk, match_glob
from curate.tasks.inputs.paths import is_url, to_text
from curate.tasks.inputs.tables import read_table
from curate.tasks.inputs.urls import find_at_url


def find_all_inputs(sources: Sequence[str], passed_over: PassedOver) -> Iterator[Input]:
    """The inputs of all sources, each path once, as `find_inputs` finds them.

    Raises NoInput before the first input when any source has none.
    """
    iterators = []
    for source in sources:
        inputs = find_inputs(source, passed_over)
        iterators.append(itertools.chain([next(inputs)], inputs))
    # find_inputs gives each path of one source once
    if len(iterators) == 1:
        return iterators[0]
    return _once(itertools.chain(*iterators), passed_over)


def _once(inputs: Iterable[Input], passed_over: PassedOver) -> Iterator[Input]:
    paths: set[str] = set()
    for item in inputs:
        if item.path in paths:
            passed_over.duplicates += 1
        else:
            paths.add(item.path)
            yield item


def find_inputs(source: str, passed_over: PassedOver | None = None) -> Iterator[Input]:
    """The inputs of `source`, each path once, in an order that depends only on names.

    `source` is a folder (searched with its sub-folders), a file, a CSV or Parquet table with a
    column `path`, a glob, or a URL of any of these. In folders and globs every name counts that has
    a known extension and no dot in front: a broken link or a folder called x.mp4 is an Input too,
    and fails in `probe` with its reason. A file given by its own path or in a table may have any
    extension. What is left out is added to `passed_over`. Only the paths of a table are kept in
    memory. Raises NoInput when there is no input, ConfigError for a wrong table.
    """
    nothing = True
    for item in _inputs(source.removeprefix("file://"), passed_over or PassedOver()):
        nothing = False
        yield item
    if nothing:
        looked_for = " ".join(VIDEO_EXTENSIONS + IMAGE_EXTENSIONS)
        raise NoInput(path=to_text(source), looked_for=f"looked for {looked_for}")


def _inputs(source: str, passed_over: PassedOver) -> Iterator[Input]:
    """The inputs of a source of any kind, or no input."""
    exists = os.path.lexists(source)
    if extension(source) in TABLE_EXTENSIONS and (exists or not glob.has_magic(source)):
        return read_table(source, passed_over)
    if is_url(source):
        return find_at_url(source)
    if os.path.isdir(source):  # noqa: PTH112
        return FolderWalk(source, passed_over).inputs()
    if exists:
        folder = os.path.dirname(os.path.abspath(source))  # noqa: PTH100, PTH120
        return iter([local_input(source, folder)])
    return match_glob(source)
