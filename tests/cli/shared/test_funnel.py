"""The funnel as rows and as text."""

from __future__ import annotations

import pytest

from curate.cli.shared.funnel import COLUMNS, funnel_rows, print_funnel
from curate.cli.shared.session import Session
from curate.worker.session.database import open_dataset
from tests.cli.conftest import Filled


def test_each_step_has_all_columns_and_its_share(filled: Filled) -> None:
    rows = funnel_rows(open_dataset(Session(), "pets"))
    assert all(list(row) == COLUMNS for row in rows)
    probe = rows[0]
    assert (probe["step"], probe["came_in"], probe["kept"]) == ("probe", 3, 2)
    assert probe["kept_share"] == pytest.approx(2 / 3, abs=1e-6)


def test_a_remark_on_stderr_is_silent_when_quiet(
    filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_dataset(Session(), "pets")
    print_funnel(opened, to_stderr=True, quiet=True)
    assert capsys.readouterr() == ("", "")
    print_funnel(opened, to_stderr=True)
    printed = capsys.readouterr()
    assert (printed.out, "66.7 %" in printed.err) == ("", True)
