"""What the shell completes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call, Filled


def test_the_shell_completes_stages_and_datasets(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_CURATE_COMPLETE", "complete_bash")
    for typed, expected in (("curate errors --stage spl", "split"), ("curate status pe", "pets")):
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
        assert curate().out.split() == [expected]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("curate export pets --columns fl", ["flow"]),
        ("curate export --columns path,fl", ["path,flow"]),
        ("curate export --sort fl", ["flow"]),
        ("curate redo motion pe", ["pets"]),
        ("curate stats fps fl", ["flow"]),
        ("curate stats --dataset pe", ["pets"]),
        ("curate show 1 --level v", ["video"]),
        ("curate recaption --stage op", ["openai", "option_match"]),
    ],
)
def test_the_shell_completes_columns_too(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch, typed: str, expected: list[str]
) -> None:
    monkeypatch.setenv("_CURATE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert curate().out.split() == expected


@pytest.mark.parametrize("typed", ["curate status p", "curate export --columns fl"])
def test_completion_says_nothing_of_a_broken_database(
    curate: Call, home: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    home.mkdir()
    (home / "curate.db").write_bytes(b"no database at all, but as long as a header" * 100)
    monkeypatch.setenv("_CURATE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    done = curate()
    assert ("p" in done.out.split(), done.err) == (False, "")
