"""The cap on memory while a batch runs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("catalog")


def test_the_memory_cap_makes_an_allocation_fail_instead_of_the_host(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = tmp_path / "greedy.py"
    script.write_text(
        "from curate.worker.memory import capped_memory\n"
        "from tests.pipelines import pipeline\n"
        "options = pipeline({'stage': 'score', 'memory_mb': 512}).by_name['score'].options\n"
        "with capped_memory(options):\n"
        "    try:\n        bytearray(1 << 30)\n    except MemoryError:\n        print('refused')\n"
        "bytearray(1 << 30)\nprint('granted')\n"
    )
    done = subprocess.run([sys.executable, str(script)],
                          capture_output=True, text=True, cwd=Path.cwd(),
                          env={"PYTHONPATH": f"{Path.cwd()}:{Path.cwd()}/src"})  # fmt: skip
    assert done.stdout == "refused\ngranted\n", done.stderr
