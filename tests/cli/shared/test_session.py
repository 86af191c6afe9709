"""The global options: --quiet and --home."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer import Context
from typer.main import get_command

from curate.cli.main import COMMANDS, app
from curate.cli.shared.session import Session
from tests.cli.conftest import Call, Filled


def test_quiet_leaves_out_the_talk(curate: Call, filled: Filled) -> None:
    assert "Next:" in curate("status").err
    assert curate("-q", "status").err == ""


def test_home_comes_before_the_environment(curate: Call, filled: Filled, tmp_path: Path) -> None:
    assert curate("status").code == 0
    assert curate("--home", str(tmp_path / "other"), "status").code == 2


@pytest.mark.parametrize("option", [["--home", "{}"], ["--home={}"]])
def test_home_may_stand_behind_the_command(
    curate: Call, filled: Filled, tmp_path: Path, option: list[str]
) -> None:
    there = [word.format(tmp_path / "home") for word in option]
    other = [word.format(tmp_path / "other") for word in option]
    assert curate("status", *there).code == 0
    assert curate("status", "pets", *other).code == 2
    assert curate("models", "list", *other, "--json").code == 0


def test_every_command_takes_home_behind_its_name() -> None:
    for entry in COMMANDS:
        program = get_command(app)
        _, command, _ = program.resolve_command(Context(program), [entry.name])
        for one in (command, *getattr(command, "commands", {}).values()):
            assert "--home" in [word for option in one.params for word in option.opts], one.name


def test_quiet_may_stand_behind_the_command(curate: Call, filled: Filled) -> None:
    assert curate("status", "-q").err == ""


def test_commands_that_are_printed_are_quoted_and_name_the_home() -> None:
    assert Session().command("sql", "SELECT 1") == "curate sql 'SELECT 1'"
    printed = Session(home=Path("a b")).command("status", "pets")
    assert shlex.split(printed) == ["curate", "--home", "a b", "status", "pets"]
