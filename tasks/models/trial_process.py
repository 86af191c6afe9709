"""Loads one model and runs it once, in a process of its own.

The command is ``python -m curate.tasks.models.trial_process KIND FOLDER [TOWER]``; the last line on
stdout is a JSON object. Memory is then that of the one model, a crash in native code ends only the
child, and the parent never loads MindSpore, which must not run in a process that forks.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from curate.configs.errors import CurateError
from curate.configs.settings import Settings, load_settings
from curate.tasks.models.catalog import Need, folder_of, tower_of


def try_model(need: Need, settings: Settings) -> dict[str, Any]:
    """The report of a child: result (ok or wrong), seconds, cpu_seconds, memory_mb, detail."""
    folder = folder_of(need.model, settings.model_folder)
    tower = tower_of(need, settings.model_folder)
    folders = [str(path.absolute()) for path in (folder, tower) if path]
    command = [sys.executable, "-m", "curate.tasks.models.trial_process", need.kind, *folders]
    environment = {**os.environ, **settings.environment()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  fixed
    try:
        report = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"result": "wrong", "detail": how_it_ended(done.returncode, done.stderr)}
    return dict(report)


def how_it_ended(code: int, stderr: str) -> str:
    """How a process ended that should not have, and the last line that it wrote."""
    last = next((line for line in reversed(stderr.splitlines()) if line.strip()), "")[:300]
    return f"its process ended with {f'signal {-code}' if code < 0 else f'code {code}'}: {last}"


def run_trial(
    kind: str, folder: Path, settings: Settings, tower: Path | None = None
) -> dict[str, Any]:
    """Load the model and run one batch in this process; return the report of `try_model`."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        # imported by name: it imports MindSpore, which the command line must not load
        trial = importlib.import_module("curate.tasks.models.trial").trial
        measured = trial(kind, folder, settings, tower)
    except CurateError as error:
        return {"result": "wrong", "detail": str(error)}
    detail = ", ".join(
        f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in measured.items()
    )
    return {
        "result": "ok", "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "detail": detail,
    }  # fmt: skip


if __name__ == "__main__":
    kind, *folders = sys.argv[1:]
    print(json.dumps(run_trial(kind, Path(folders[0]), load_settings(), *map(Path, folders[1:]))))
    sys.stdout.flush()
