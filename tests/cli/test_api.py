"""curate from Python: what docs/python.md shows runs, and answers as the commands do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import curate as package
from curate.api import Home
from curate.configs.errors import (
    FilterError,
    NoDatasets,
    NoEmbeddings,
    PackageMissing,
    SqlRefused,
    UsageError,
)
from tests import servers
from tests.cli.conftest import Filled, finish_clips
from tests.media import B_FRAMES, footage, write_video

PAGE = Path(__file__).parent.parent.parent / "docs" / "python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def opened(filled: Filled, home: Path) -> Home:
    return package.open(home, quiet=True)


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = "pandas sqlalchemy typer celery av cv2 mindspore"
    code = f"import curate, sys; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_home_without_a_dataset_has_an_empty_table(home: Path) -> None:
    empty = package.open(home)
    assert empty.datasets().empty and "kept" in empty.datasets()
    with pytest.raises(NoDatasets):
        empty.dataset()
    assert not home.exists(), "looking makes nothing"


def test_without_pandas_its_installation_is_told(
    opened: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PackageMissing, match="pip install 'pandas>="):
        opened.datasets()


def test_the_home_is_that_of_the_environment(home: Path) -> None:
    assert package.open().folder == home


def test_clips_are_those_that_were_kept_unless_asked(opened: Home) -> None:
    dataset = opened.dataset()
    assert list(dataset.clips(columns=["clip_id"])["clip_id"]) == [3, 2, 1]
    both = dataset.clips(columns=["clip_id"], statuses=["kept", "dropped"])
    assert list(both["clip_id"]) == [3, 2, 4, 1]


def test_clips_are_narrowed_sorted_and_limited(opened: Home) -> None:
    ask = opened.dataset().clips
    assert list(ask("text = 'a cat'", ["clip_id"])["clip_id"]) == [3, 2]
    assert list(ask(columns=["clip_id"], sort="clip_id", limit=2)["clip_id"]) == [1, 2]


def test_the_usual_columns_are_those_of_an_export(opened: Home) -> None:
    assert list(opened.dataset().clips())[:3] == ["path", "text", "num_frames"]


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda home: home.dataset().clips("num_frmes > 1"), FilterError),
        (lambda home: home.dataset().clips(columns=["num_frmes"]), UsageError),
        (lambda home: home.dataset("nobody"), UsageError),
        (lambda home: home.sql("DELETE FROM clips"), SqlRefused),
        (lambda home: home.sql("SELECT id FROM clips", max_rows=2), UsageError),
        (lambda home: home.dataset().search("a dog"), NoEmbeddings),
    ],
)
def test_what_a_command_refuses_raises(
    opened: Home, ask: Callable[[Home], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ask(opened)


def test_sql_reads_all_datasets(opened: Home) -> None:
    found = opened.sql("SELECT status, count(*) AS clips FROM clips GROUP BY 1 ORDER BY 1")
    assert found.to_dict("list") == {
        "status": ["active", "dropped", "failed", "kept"], "clips": [2, 1, 1, 3],
    }  # fmt: skip


def test_datasets_and_stages_are_counted(opened: Home) -> None:
    (row,) = opened.datasets().to_dict("records")
    assert (row["state"], row["kept"], row["dropped"], row["failed"]) == ("running", 3, 1, 2)
    stages = opened.dataset().stages().set_index("stage")
    assert (stages.loc["probe", "failed"], stages.loc["motion", "running"]) == (1, 1)


def test_a_run_that_is_over_starts_nothing(opened: Home, filled: Filled, home: Path) -> None:
    finish_clips(filled, "UPDATE videos SET status = 'kept', stage = 'done'")
    dataset = opened.dataset()
    assert dataset.run() is dataset
    assert not (home / "logs").exists()


def test_what_the_page_shows_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it in one namespace, as in a notebook; but `search`, which needs weights."""
    if servers.redis_program() is None:
        pytest.skip(servers.NO_REDIS)
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "a.mp4", footage(60, ()), B_FRAMES)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        if "dataset.search(" in block:
            with pytest.raises(NoEmbeddings):
                exec(block, names)
        else:
            exec(block, names)
    assert list(names["home"].datasets()["kept"]) == [1]
    assert Path(names["clips"]["path"][0]).is_file()
    assert len(names["everything"]) == 1
    assert "flwo" in capsys.readouterr().out
