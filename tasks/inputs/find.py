"""Finds the inputs of `curate enqueue PATH`: a folder, a glob, a table of paths, or a URL."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from curate.configs.errors import NoInput
from curate.tasks.inputs.extensions import (
    TABLE_EXTENSIONS,
    extension,
    is_image,
    is_media,
)
from curate.tasks.inputs.files import (
    Input,
    PassedOver,
    Search,
    local_input,
    no_such_file,
    skipped_text,
)
from curate.tasks.inputs.folders import FolderWalk, match_glob
from curate.tasks.inputs.paths import is_url, last_link, to_text
from curate.tasks.inputs.tables import read_table
from curate.tasks.inputs.urls import find_at_url


def find_all_inputs(
    sources: Sequence[str], passed_over: PassedOver, search: Search
) -> Iterator[Input]:
    """The inputs of all sources, each path once, as `find_inputs` finds them.

    Raises NoInput before the first input when any source has none.
    """
    iterators = []
    for source in sources:
        inputs = find_inputs(source, passed_over, search)
        iterators.append(itertools.chain([next(inputs)], inputs))
    # find_inputs gives each path of one source once
    if len(iterators) == 1:
        return iterators[0]
    return _once(itertools.chain(*iterators), passed_over)


def _once(inputs: Iterable[Input], passed_over: PassedOver) -> Iterator[Input]:
    only_known: dict[str, bool] = {}
    for item in inputs:
        if item.path not in only_known or only_known[item.path] > item.only_known:
            only_known[item.path] = item.only_known
            yield item
        else:
            passed_over.duplicates += 1


def find_inputs(
    source: str, passed_over: PassedOver | None = None, search: Search | None = None
) -> Iterator[Input]:
    """The inputs of `source`, each path once, in an order that depends only on names.

    `source` is a folder (searched with its sub-folders), a file, a CSV or Parquet table with a
    column `path`, a glob, or a URL of any of these. In folders and globs every name counts that has
    a known extension and no dot in front: a broken link or a folder called x.mp4 is an Input too,
    and fails in `probe` with its reason. A file given by its own path or in a table may have any
    extension. A still image that a search finds beside a video is `only_known`, unless `search`
    says that pictures join; where there is no video they all do. What is left out is added to
    `passed_over`. Only the paths of a table are kept in memory. Raises NoInput when there is no
    input, NoSuchFile when there is not even such a path, ConfigError for a wrong table.
    """
    source = source.removeprefix("file://")
    passed_over, search = passed_over or PassedOver(), search or Search()
    asked = search.pictures or _is_table(source)
    join = True if asked else None
    nothing = True
    for item in _inputs(source, passed_over, search):
        nothing = False
        if join is None:  # looks further only where a picture comes first
            again = _inputs(source, PassedOver(), search)
            join = all(is_image(one.path) for one in itertools.chain([item], again))
        yield item if join or not is_image(item.path) else replace(item, only_known=True)
    if nothing:
        skipped = f" ({skipped_text(passed_over.skipped())})" if passed_over.others else ""
        raise NoInput(path=to_text(source), skipped=skipped)
    if join and not (asked or is_media(source)):
        passed_over.only_pictures.append(to_text(source))


def _is_table(source: str) -> bool:
    named = os.path.lexists(source) or not glob.has_magic(source)
    return extension(source) in TABLE_EXTENSIONS and named


def _inputs(source: str, passed_over: PassedOver, search: Search) -> Iterator[Input]:
    """The inputs of a source of any kind, or no input."""
    if _is_table(source):
        return read_table(source, passed_over)
    if is_url(source):
        return find_at_url(source, passed_over, search.own)
    if os.path.isdir(source):  # noqa: PTH112
        return FolderWalk(source, passed_over, search.own).inputs()
    if os.path.lexists(source):
        folder = os.path.dirname(os.path.abspath(source))  # noqa: PTH100, PTH120
        return iter([local_input(source, folder)])
    check_there(source)
    return match_glob(source, passed_over)


def check_there(source: str) -> None:
    """Raise NoSuchFile where a path, or that of an archive on this host, leads nowhere. Other URLs
    and globs may be anything.
    """
    path = (last_link(source) if is_url(source) else source).removeprefix("file://")
    if not (is_url(path) or os.path.lexists(path) or glob.has_magic(path)):
        raise no_such_file(path)
