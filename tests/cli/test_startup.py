"""`curate --help` starts quickly, and what is heavy is imported only where it is used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "alembic", "av", "celery", "cv2", "kombu", "mindone", "mindspore", "numpy", "pandas",
    "pyarrow", "pydantic",
    "rich.console", "scenedetect", "scipy", "sqlalchemy", "sqlalchemy.dialects.postgresql",
    "sqlglot", "tornado", "yaml",
}  # fmt: skip
SCRIPT = """
import contextlib, io, json, sys, time
started = time.process_time()
from curate.cli.main import call
with contextlib.redirect_stdout(io.StringIO()):
    code = call(json.loads(sys.argv[1]))
print(json.dumps([code, time.process_time() - started, sorted(sys.modules)]))
"""


def loaded(*argv: str) -> tuple[int, float, set[str]]:
    """Exit code, CPU seconds and modules of one command line in a new process."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(argv)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, seconds, modules = json.loads(done.stdout)
    return code, seconds, set(modules)


@pytest.mark.parametrize(
    ("argv", "allowed"),
    [
        (["--version"], set()),
        (["--help"], {"rich.console"}),
        (["stages", "--help"], {"pydantic", "rich.console"}),  # the help names the stages
        (["status", "nowhere"], {"pydantic", "sqlalchemy", "yaml"}),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_what_is_heavy_stays_out(argv: list[str], allowed: set[str]) -> None:
    _, _, modules = loaded(*argv)
    assert modules & HEAVY <= allowed
