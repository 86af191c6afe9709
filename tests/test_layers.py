"""Who may import whom: configs nothing, tasks and db configs, worker, view and export those three,
nobody cli, and curate.api neither.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from curate.tasks.registry import stages

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "configs": {"configs"},
    "tasks": {"configs", "tasks"},
    "db": {"configs", "db"},
    "worker": {"configs", "tasks", "db", "worker"},
    "view": {"configs", "tasks", "db", "view"},
    "export": {"configs", "tasks", "db", "export"},
    "cli": {"configs", "tasks", "db", "worker", "view", "export", "cli"},
}
FILES = [p for layer in ALLOWED for p in sorted((ROOT / layer).rglob("*.py"))]
ONLY_WORKER = {"celery", "kombu"}


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    names = imported(path)
    ours = {n.split(".")[1] for n in names if n.startswith("curate.")} & set(ALLOWED)
    assert ours <= ALLOWED[layer]
    assert not {n.split(".")[0] for n in names} & set(ALLOWED), "import curate.<layer>, not <layer>"
    if layer not in ("worker", "cli"):
        assert not {n.split(".")[0] for n in names} & ONLY_WORKER


def test_the_folders_are_linked_into_the_package() -> None:
    for layer in ALLOWED:
        link = ROOT / "src" / "curate" / layer
        assert link.is_symlink()
        assert str(link.readlink()) == f"../../{layer}"


def test_finding_the_stages_loads_nothing_heavy() -> None:
    heavy = (
        "av cv2 scenedetect pandas PIL imagededup scipy sklearn rapidocr onnxruntime "
        "mindspore celery sqlalchemy tornado"
    )
    script = (
        "import sys; from curate.tasks.registry import stages; stages();"
        f"print([m for m in {heavy.split()!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_python_stands_on_no_command_and_loads_nothing_heavy() -> None:
    """`import curate` loads nothing of ours, `curate.open` no command and nothing heavy."""
    heavy = "av cv2 scenedetect pandas scipy sklearn mindspore tornado typer"
    script = (
        "import sys, curate; print([m for m in sys.modules if m.startswith('curate.')]);"
        "curate.open('nowhere'); print([m for m in sys.modules if m.startswith('curate.cli')]);"
        f"print([m for m in {heavy.split()!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]"] * 3


LAYERS = ("configs", "db", "worker", "view", "export")
NAMELESS = [p for p in FILES if p.relative_to(ROOT).parts[0] in LAYERS]
COLUMNS = {"match"}  # a column of the table captions has the name of the stage that scores it


@pytest.mark.parametrize("path", NAMELESS, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_engine_knows_no_stage_by_name(path: Path) -> None:
    if "migrations" in path.parts:
        pytest.skip("a migration tells what was")
    names = set(stages()) - COLUMNS
    tree = ast.parse(path.read_text(encoding="utf-8"))
    literals = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value in names]
    assert [f"line {n.lineno}: {n.value}" for n in literals] == [], "say it by the stage's class"


# files without a test file of their name, and where they are tested
ELSEWHERE = {
    "cli/shared/by_hand.py": "cli/test_reclean.py",
    "db/readonly/urls.py": "cli/test_db.py",
}


@pytest.mark.parametrize(
    "path",
    [
        path.relative_to(ROOT)
        for layer in ("db", "worker", "view", "export", "cli")
        for path in sorted((ROOT / layer).rglob("*.py"))
        if "migrations" not in path.parts and not path.name.startswith("__")
    ],
    ids=str,
)
def test_a_file_with_logic_has_a_test_file_of_its_name(path: Path) -> None:
    test = ROOT / "tests" / path.parent / f"test_{path.name}"
    if str(path) in ELSEWHERE:
        assert not test.exists()
        test = ROOT / "tests" / ELSEWHERE[str(path)]
    assert test.exists()
