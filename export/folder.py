"""Exports clips with their files to a folder or URL: resumable, and there only when it is whole.

A local export is made in `.NAME.partial` beside the folder that it becomes by a rename. At a URL,
where nothing can be renamed, `.curate.json` is written last. An export that is whole is never
changed: the same command once more finds that nothing is to be done, or says what is different. Of
a format that is one file (`MediaFormat.file`), the new one takes the place of the one before.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from curate.configs.errors import ExportThere, UsageError
from curate.db.export import Exported, ExportPlan, rows_of
from curate.export.format import MediaFormat, Way
from curate.export.journal import FOLDER, Journal
from curate.export.parts import digest, items, parts
from curate.export.places import alone, read_text, remove, there, write_text
from curate.tasks.inputs.paths import is_url, to_path
from curate.tasks.storage.locations import Location, below

MARK = ".curate.json"  # in an export that is whole: what was asked for


@dataclass
class Side:
    """A side of the export, in a folder of its own; without a name, all of the export."""

    name: str
    plan: ExportPlan


@dataclass
class Written:
    """What lies there now, by side; what the format could not hold, by reason; what else is to be
    told of clips, by what it is.
    """

    clips: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    rows: Exported = field(default_factory=lambda: Exported(()))
    digests: list[str] = field(default_factory=list)
    nothing_new: bool = False  # it was whole already


class _Changed(Exception):
    """The dataset changed since the export was begun."""


@dataclass
class FolderExport:
    """One export: `request` is all that decides what it holds, as JSON. `report` is called with the
    clips done so far.
    """

    engine: Engine
    format: MediaFormat
    way: Way
    sides: Sequence[Side]
    request: dict[str, Any]
    report: Callable[[int], None] = lambda done: None

    def write(self, target: str) -> Written:
        """Write it, or what is left of it to be written. Raises ExportThere, UsageError,
        ServiceError, FilesAmiss.
        """
        where: Location = target.rstrip("/") if is_url(target) else Path(target).resolve()
        way = replace(self.way, final=str(where))
        if isinstance(where, Path) and where.is_mount() and not there(where / MARK):
            what = f"{target} is a mount point, where no export can be put whole"
            raise UsageError(what=f"{what}; name a folder in it: -o {where / 'NAME'}")
        if not self.format.file and there(where) and _holds_anything(where):
            if there(below(where, MARK)):
                written = self._compare(where, way)
                self._forget(where)  # a kill may have left it
                return written
            if isinstance(where, Path) or not there(below(where, FOLDER)):
                raise ExportThere(target=target, what="holds other files")
        root = where if isinstance(where, str) else where.with_name(f".{where.name}.partial")
        with alone(root):
            noted = below(root, FOLDER, "request.json")
            begun = json.loads(read_text(noted)) if there(noted) else None
            if begun != self.request:
                if begun is not None and isinstance(root, str):
                    raise ExportThere(target=target, what="holds half of another export")
                self._begin(root)
            elif isinstance(root, Path):
                for part in root.rglob(".*.part"):  # temporary files of who was killed
                    part.unlink()
            try:
                written = self._write_all(root, way)
            except _Changed:
                self._begin(root)
                written = self._write_all(root, way)
            if self.format.file:
                (Path(root) / self.format.file).replace(where)
                remove(root)
                return written
            mark = {"request": self.request, "digest": _all(written.digests)}
            write_text(below(root, MARK), json.dumps(mark, indent=1, ensure_ascii=False) + "\n")
            if isinstance(root, Path) and isinstance(where, Path):
                if where.exists():
                    where.rmdir()  # empty
                root.rename(where)
        self._forget(where)
        return written

    def _forget(self, where: Location) -> None:
        """Remove the journals."""
        for side in ("", *(side.name for side in self.sides if side.name)):
            remove(below(where, side, FOLDER) if side else below(where, FOLDER))

    def count(self) -> Written:
        """What it would write, without writing anything."""
        written = Written()
        for side in self.sides:
            for _ in self._parts(side, self.way, written):
                pass
        return written

    def _begin(self, root: Location) -> None:
        """Remove what was begun, and begin anew."""
        if isinstance(root, Path):
            remove(root)
        else:  # what else lies at a URL is not ours
            for into in (below(root, side.name) if side.name else root for side in self.sides):
                journal = Journal(into)
                for number in itertools.takewhile(journal.begun, itertools.count()):
                    for name in self.format.files_of(number):
                        remove(below(into, name))
                remove(below(into, FOLDER))
        write_text(below(root, FOLDER, "request.json"), json.dumps(self.request))

    def _compare(self, where: Location, way: Way) -> Written:
        """What lies there, if it is what would be written now. Raises ExportThere."""
        mark = json.loads(read_text(below(where, MARK)))
        if mark["request"] != self.request:
            raise ExportThere(target=where, what="holds an export by another command")
        written = Written(nothing_new=True)
        for side in self.sides:
            for _, part in self._parts(side, way, written):
                written.digests.append(digest(part))
        if mark["digest"] != _all(written.digests):
            raise ExportThere(target=where, what="was written before its clips or files changed")
        return written

    def _write_all(self, root: Location, way: Way) -> Written:
        written = Written()
        for side in self.sides:
            into = below(root, side.name) if side.name else root
            journal = Journal(into)
            number = -1
            for number, part in self._parts(side, way, written):
                key = digest(part)
                if journal.begun(number) not in ("", key):
                    raise _Changed
                if not journal.is_done(number):
                    journal.begin(number, key)
                    journal.end(number, self.format.lay(number, part, into, way))
                written.digests.append(key)
                self.report(sum(written.clips.values()))
            if journal.begun(number + 1):
                raise _Changed
            if number >= 0 or not side.name:
                final = f"{way.final}/{side.name}" if side.name else way.final
                laid = self._heard(journal.laid(number + 1), written)
                self.format.finish(laid, into, replace(way, final=final))
        return written

    def _heard(self, laid: Iterable[Any], written: Written) -> Iterator[Any]:
        """What was noted of parts, with the remarks in it counted on the way."""
        for line in laid:
            if told := self.format.remark(line):
                written.remarks[told[0]] += told[1]
            yield line

    def _parts(self, side: Side, way: Way, written: Written) -> Iterator[tuple[int, Any]]:
        """The clips of a side in parts, counted."""
        most, most_bytes = self.format.part_clips, None
        if self.format.shards:
            most, most_bytes = way.shard_clips, way.shard_bytes
        for counts in (written.clips, written.bytes, written.parts):
            counts[side.name] = 0
        with rows_of(self.engine, side.plan, to_path, written.rows) as rows:
            found = items(rows, side.plan, self.format, way, written.left)
            for number, part in enumerate(parts(found, most, most_bytes)):
                written.clips[side.name] += len(part)
                written.bytes[side.name] += sum(item.size for item in part)
                written.parts[side.name] += 1
                yield number, part


def _holds_anything(where: Location) -> bool:
    return isinstance(where, str) or any(where.iterdir())


def _all(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()
