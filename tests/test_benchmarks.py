"""Benchmarks, which no check runs, import what is there, and nothing private."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of each `from curate… import …` and `from tests… import …`."""
    for node in ast.walk(tree):
        module = getattr(node, "module", None) or ""
        if isinstance(node, ast.ImportFrom) and module.split(".")[0] in ("curate", "tests"):
            yield from ((module, alias.name) for alias in node.names)


def source_of(module: str) -> Path | None:
    path = (ROOT / "src" if module.startswith("curate") else ROOT) / module.replace(".", "/")
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.exists()), None)


def is_there(module: str, name: str) -> bool:
    """Whether a module has a name, told from its text: some load MindSpore."""
    if source_of(f"{module}.{name}"):
        return True
    source = source_of(module)
    if source is None:
        return False
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.ImportFrom() | ast.Import():
                names |= {alias.asname or alias.name for alias in node.names}
    return name in names


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_it_imports_is_there_and_public(path: Path) -> None:
    for module, name in imported(ast.parse(path.read_text())):
        assert is_there(module, name), f"{module} has no {name}"
        assert not name.startswith("_"), f"{module}.{name} is private"


def test_a_name_that_is_gone_is_found() -> None:
    assert is_there("tests.faults.line", "Line")
    assert is_there("curate.tasks", "dedup")
    assert not is_there("tests.faults.line", "Gone")
    assert not is_there("curate.gone", "Line")
