"""What `./check quick` (pytest --quick) runs: tests without servers, MindSpore and `curate`.

A test is left out when it asks for a server's fixture, or lies below a path of SLOW. A server or a
child with MindSpore that a quick test starts nevertheless fails that test: `forbid_in_quick`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VARIABLE = "TESTS_QUICK"  # also for the processes of pytest-xdist
SERVERS = {"postgres", "postgres_url", "empty_postgres_url", "redis_url", "s3", "s3_url"}
# slow ones that take a process longest, the longest first
LONGEST = (
    "tests/test_readme.py",
    "tests/test_store.py",
    "tests/test_tutorial.py",
    "tests/test_model_line.py",
    "tests/accuracy/test_newer.py",
    "tests/accuracy/test_models.py",
    "tests/tasks/video/test_parts.py",
    "tests/test_presets.py",
    "tests/view/test_search.py",
    "tests/view/test_snapshot.py",
    "tests/tasks/video/test_stitching.py",
    "tests/test_life.py",
    "tests/view/test_browser.py",
    "tests/cli/test_worker.py",
    "tests/cli/test_flower.py",
)
QUICK = len(LONGEST) + 1  # the turn of a file that is not slow
# they start MindSpore, `curate` or another process a test, or compute for seconds
SLOW = (
    "tests/accuracy",
    "tests/cli/test_api.py",
    "tests/cli/test_concepts.py",
    "tests/cli/test_db.py",
    "tests/cli/test_flower.py",
    "tests/cli/test_metrics.py",
    "tests/cli/test_models.py",
    "tests/cli/test_next.py",
    "tests/cli/test_plan.py",
    "tests/cli/test_program.py",
    "tests/cli/test_redo.py",
    "tests/cli/test_run.py",
    "tests/cli/test_search.py",
    "tests/cli/test_startup.py",
    "tests/cli/test_view.py",
    "tests/cli/test_worker.py",
    "tests/cli/test_workers.py",
    "tests/db/readonly",
    "tests/db/test_datasets.py",
    "tests/db/test_preview.py",
    "tests/db/test_redo.py",
    "tests/export/test_folder.py",
    "tests/export/test_rebuild.py",
    "tests/faults",
    "tests/tasks/captioners",
    "tests/tasks/models",
    "tests/tasks/scorers",
    "tests/tasks/storage",
    "tests/tasks/test_cut.py",
    "tests/tasks/test_cut_fit.py",
    "tests/tasks/test_edited_copies.py",
    "tests/tasks/test_motion.py",
    "tests/tasks/test_multi_caption.py",
    "tests/tasks/test_ocr.py",
    "tests/tasks/test_openai.py",
    "tests/tasks/test_openai_windows.py",
    "tests/tasks/test_rewrite.py",
    "tests/tasks/test_split.py",
    "tests/tasks/video",
    "tests/test_end_to_end.py",
    "tests/test_from_scripts.py",
    "tests/test_life.py",
    "tests/test_media.py",
    "tests/test_model_line.py",
    "tests/accuracy/test_newer.py",
    "tests/test_presets.py",
    "tests/test_readme.py",
    "tests/test_servers.py",
    "tests/test_store.py",
    "tests/test_tutorial.py",
    "tests/view/test_browser.py",
    "tests/view/test_search.py",
    "tests/view/test_search_browser.py",
    "tests/view/test_text_tower.py",
    "tests/view/test_snapshot.py",
    "tests/view/test_vote_sheet.py",
    "tests/worker/session/test_weights.py",
    "tests/worker/test_app.py",
    "tests/worker/test_broker.py",
    "tests/worker/test_logs.py",
    "tests/worker/test_memory.py",
    "tests/worker/test_metrics.py",
    "tests/worker/test_odd_messages.py",
    "tests/worker/test_outages.py",
    "tests/worker/test_prepared.py",
    "tests/worker/test_outcomes.py",
    "tests/worker/test_supervisor.py",
)


@cache
def is_slow(path: Path) -> bool:
    """Whether a test file, or a folder, is one of SLOW or below one."""
    return any(path.is_relative_to(ROOT / slow) for slow in SLOW)


@cache
def turn(file: str) -> int:
    """When a test file is run: from 0 on the longest, then the other slow ones, last the quick ones
    (QUICK).
    """
    if file in LONGEST:
        return LONGEST.index(file)
    return QUICK - 1 if is_slow(ROOT / file) else QUICK


def needs_server(item: pytest.Item) -> bool:
    """Whether a test asks for a server, also by a parameter that names the engine."""
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return bool(fixtures & SERVERS) or "postgres" in map(str, parameters.values())


def forbid_in_quick(what: str) -> None:
    """Fail the running test if it is a quick one. Call it where something slow is started."""
    if os.environ.get(VARIABLE):
        pytest.fail(f"a test of ./check quick starts {what}: name its file in tests/quick.py")
