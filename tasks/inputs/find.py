"""What `curate enqueue PATH` finds: files of a folder, a glob, a table of paths, or a URL."""

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
    begun = []
    for source in sources:
        inputs = find_inputs(source, passed_over)
        begun.append(itertools.chain([next(inputs)], inputs))
    # of one source find_inputs has left out what is named twice
    return begun[0] if len(begun) == 1 else _once(itertools.chain(*begun), passed_over)


def _once(inputs: Iterable[Input], passed_over: PassedOver) -> Iterator[Input]:
    paths: set[str] = set()
    for item in inputs:
        if item.path in paths:
            passed_over.duplicates += 1
        else:
            paths.add(item.path)
            yield item


def find_inputs(source: str, passed_over: PassedOver | None = None) -> Iterator[Input]:
    """The inputs of source, each path once, in an order that depends on names only.

    source is a folder (searched with its sub-folders), a file, a CSV or Parquet table with a column
    `path`, a glob, or a URL of any of these. From folders and globs come the names with a known
    extension that do not start with a dot, whatever they are: a link that leads nowhere or a folder
    called x.mp4 is an Input too, and fails in `probe` with its reason. A file named in a table or
    by itself may have any extension. What gives no input is added to `passed_over`. Folders are not
    held in memory; of a table the paths are. Raises NoInput when there is nothing, ConfigError for
    a wrong table.
    """
    nothing = True
    for item in _inputs(source.removeprefix("file://"), passed_over or PassedOver()):
        nothing = False
        yield item
    if nothing:
        looked_for = " ".join(VIDEO_EXTENSIONS + IMAGE_EXTENSIONS)
        raise NoInput(path=to_text(source), looked_for=f"looked for {looked_for}")


def _inputs(source: str, passed_over: PassedOver) -> Iterator[Input]:
    """The inputs by what the source is."""
    is_there = os.path.lexists(source)
    if extension(source) in TABLE_EXTENSIONS and (is_there or not glob.has_magic(source)):
        return read_table(source, passed_over)
    if is_url(source):
        return find_at_url(source)
    if os.path.isdir(source):  # noqa: PTH112
        return FolderWalk(source, passed_over).inputs()
    if is_there:
        folder = os.path.dirname(os.path.abspath(source))  # noqa: PTH100, PTH120
        return iter([local_input(source, folder)])
    return match_glob(source)
