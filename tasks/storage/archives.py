"""Opens the archives of samples below a URL, for one batch."""

from __future__ import annotations

from collections import OrderedDict
from zipfile import ZipFile

from curate.tasks.storage.remote import RemoteFile, needed_by_all

OPEN = 4  # archives kept open, each with a few blocks in memory
BLOCK_BYTES = 4 << 20  # most archives are smaller, so one request fetches them


class RemoteArchives:
    """Opens each archive once.

    Each batch has an object of its own, so none reads an archive that split has since replaced.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._open: OrderedDict[str, ZipFile] = OrderedDict()  # least recently used first

    def open(self, url: str) -> ZipFile:
        """The archive at a URL. Raises Unreadable when it is missing, ServiceError, BadZipFile."""
        if url not in self._open:
            with needed_by_all(url):
                self._open[url] = ZipFile(RemoteFile(url, BLOCK_BYTES))
        self._open.move_to_end(url)
        while len(self._open) > OPEN:
            self._open.popitem(last=False)
        return self._open[url]
