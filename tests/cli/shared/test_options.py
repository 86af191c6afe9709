"""What the shell completes."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Call, Filled


def test_the_shell_completes_stages_and_datasets(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_CURATE_COMPLETE", "complete_bash")
    for typed, expected in (("curate errors --stage sp", "split"), ("curate status pe", "pets")):
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
        assert curate().out.split() == [expected]
