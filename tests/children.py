"""Runs cases in a process of their own: MindSpore must not share one with tests, some of which
fork.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.quick import forbid_in_quick

ROOT = Path(__file__).parent.parent


def found_by(module: str, home: Path) -> Mapping[str, Any]:
    """What the cases of a module found, by their names; `home` is where it may draw and write."""
    if importlib.util.find_spec("mindspore") is None:
        pytest.skip("MindSpore is not installed")
    forbid_in_quick("MindSpore")
    home.mkdir(parents=True, exist_ok=True)
    result = home / "found.json"
    command = [sys.executable, "-W", "ignore", "-m", module, str(home), str(result)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(result.read_text()))


def found_once(module: str, factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """As found_by; however many processes of pytest-xdist ask, the cases run once."""
    base = factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / module
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = home / "found.json"
        return dict(json.loads(done.read_text())) if done.exists() else found_by(module, home)


def main(cases: Mapping[str, Callable[[], Any]]) -> None:
    """Run the cases in their order, and write what they found where the parent asked for it. For
    ``__main__``.
    """
    Path(sys.argv[2]).write_text(json.dumps({name: case() for name, case in cases.items()}))


def said(do: Callable[[], Any]) -> list[str]:
    """Kind and text of what is raised; empty when nothing is."""
    try:
        do()
    except Exception as error:  # noqa: BLE001  a case may raise anything, and a test looks at it
        return [type(error).__name__, str(error)]
    return []
