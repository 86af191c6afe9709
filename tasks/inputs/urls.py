"""Inputs at a URL: one file, everything below a prefix, or what a glob matches."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from typing import Any

from curate.configs.errors import ConfigError
from curate.tasks.inputs.extensions import is_media
from curate.tasks.inputs.files import Input, PassedOver, url_fingerprint, url_input
from curate.tasks.inputs.paths import split_archive, to_text
from curate.tasks.storage.remote import file_system, protocol, store_errors


def find_at_url(url: str, passed_over: PassedOver, own: frozenset[str]) -> Iterator[Input]:
    """The inputs at a URL in the order of their names. Raises ServiceError, ConfigError.

    Prefixes that are URLs of `own` are not entered.
    """
    with store_errors(url):  # some connect at once
        system, path = file_system(url)
    if glob.has_magic(path):
        fixed = url[: min(url.find(c) for c in "*?[" if c in url)].rpartition("/")[0]
        with store_errors(url):
            try:
                infos = system.glob(path, detail=True)
            except ValueError as error:  # fsspec accepts ** only as a whole name, not `a**`
                raise ConfigError(source=url, why=error) from None
        files = [n for n in sorted(infos) if infos[n]["type"] == "file" and not _hidden(n)]
        for name in filter(is_media, files):
            yield _listed(url, fixed, system, infos[name])
        passed_over.count_others((n for n in files if not is_media(n)), files)
        return
    with store_errors(url):
        is_folder = not is_media(url) and system.isdir(path)
        is_file = is_media(url) or (not is_folder and system.exists(path))
    if is_folder:
        yield from _UrlWalk(url, system, passed_over, own).inputs(path)
    elif is_file:
        inner, _ = split_archive(url)
        yield url_input(url, inner.rpartition("/")[0])


class _UrlWalk:
    """Walks what lies below a URL, with one listing per level in memory."""

    def __init__(self, url: str, system: Any, passed_over: PassedOver, own: frozenset[str]) -> None:
        self._url = url
        self._system = system
        self._passed_over = passed_over
        self._own = {system._strip_protocol(one) for one in own if protocol(one) == protocol(url)}

    def inputs(self, path: str) -> Iterator[Input]:
        """Inputs below a path of the store, in the order of their names."""
        with store_errors(self._url):
            listing = sorted(self._system.ls(path, detail=True), key=lambda info: info["name"])
        names = [info["name"].rstrip("/") for info in listing]
        others = []
        for name, info in zip(names, listing, strict=True):
            if _hidden(name) or name == path.rstrip("/"):
                continue
            if name in self._own:
                self._passed_over.own.append(self._system.unstrip_protocol(name))
            elif info["type"] == "directory":
                yield from self.inputs(name)
            elif is_media(name):
                yield _listed(self._url, self._url, self._system, info)
            else:
                others.append(name)
        self._passed_over.count_others(others, names)


def _hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")


def _listed(source: str, base: str, system: Any, info: dict[str, Any]) -> Input:
    """The Input of a file in a listing of the URL `source`; relpath counts from the URL `base`."""
    inner, archive = split_archive(source)
    chain, linked, _ = inner.rpartition("::")
    full = chain + linked + system.unstrip_protocol(info["name"]) + archive
    root = system._strip_protocol(split_archive(base)[0].rpartition("::")[2])
    relpath = info["name"].removeprefix(root.rstrip("/") + "/")
    return Input(full, to_text(relpath), url_fingerprint(info))
