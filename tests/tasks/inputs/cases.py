"""Files, tables and the inputs found in them."""

from __future__ import annotations

from pathlib import Path

from curate.tasks.inputs.files import PassedOver
from curate.tasks.inputs.find import find_inputs


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def relpaths(source: Path | str, passed_over: PassedOver | None = None) -> list[str]:
    return [i.relpath for i in find_inputs(str(source), passed_over)]


def table(tmp_path: Path, text: str | bytes, name: str = "list.csv") -> str:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)
