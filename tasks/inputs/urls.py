"""Inputs at a URL: one file, everything below a prefix, or what a glob matches."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from typing import Any

from curate.configs.errors import ConfigError
from curate.tasks.inputs.extensions import is_media
from curate.tasks.inputs.files import Input, url_fingerprint, url_input
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.remote import file_system, store_errors


def find_at_url(url: str) -> Iterator[Input]:
    """The inputs at a URL in the order of their names. Raises ServiceError, ConfigError."""
    system, path = file_system(url)
    if glob.has_magic(path):
        fixed = url[: min(url.find(c) for c in "*?[" if c in url)].rpartition("/")[0]
        with store_errors(url):
            try:
                infos = system.glob(path, detail=True)
            except ValueError as error:  # fsspec accepts ** only as a whole name, not `a**`
                raise ConfigError(source=url, why=error) from None
        for name in sorted(infos):
            visible = is_media(name) and not name.rpartition("/")[2].startswith(".")
            if visible and infos[name]["type"] == "file":
                yield _listed(url, fixed, system, infos[name])
        return
    with store_errors(url):
        is_folder = not is_media(url) and system.isdir(path)
        is_file = is_media(url) or (not is_folder and system.exists(path))
    if is_folder:
        yield from _walk(url, system, path)
    elif is_file:
        yield url_input(url, url.rpartition("/")[0])


def _walk(url: str, system: Any, path: str) -> Iterator[Input]:
    """Inputs below a prefix in the order of their names, with one listing per level in memory."""
    with store_errors(url):
        listing = sorted(system.ls(path, detail=True), key=lambda info: info["name"])
    for info in listing:
        name = info["name"].rstrip("/")
        if name.rpartition("/")[2].startswith(".") or name == path.rstrip("/"):
            continue
        if info["type"] == "directory":
            yield from _walk(url, system, name)
        elif is_media(name):
            yield _listed(url, url, system, info)


def _listed(source: str, base: str, system: Any, info: dict[str, Any]) -> Input:
    """The Input of a file in a listing of the URL `source`; relpath counts from the URL `base`."""
    chain, linked, _ = source.rpartition("::")
    full = chain + linked + system.unstrip_protocol(info["name"])
    root = system._strip_protocol(base.rpartition("::")[2])
    relpath = info["name"].removeprefix(root.rstrip("/") + "/")
    return Input(full, to_text(relpath), url_fingerprint(info))
