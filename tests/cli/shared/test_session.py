"""The global options: --quiet and --home."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import text
from typer import Context
from typer.main import get_command

from curate.cli.main import COMMANDS, app
from curate.configs import errors, row_errors
from curate.db.engine import writing
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


def test_messages_name_the_home_that_was_given(
    curate: Call, filled: Filled, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error, a remark, a table and JSON, each with a command in it."""
    monkeypatch.delenv("CURATE_HOME")
    program = f"curate --home {home}"
    there = ["--home", str(home)]
    assert f"with: {program} datasets\n" in curate(*there, "status", "petz").err
    assert f"{program} errors pets\n" in curate(*there, "retry", "--error", "NotMedia").err
    assert f"{program} models list" in curate("doctor", *there).out
    models = curate("models", "list", *there, "--json").json
    fetched = [model["get"] for model in models if "models fetch" in model["get"]]
    assert fetched
    assert all(get.startswith(f"{program} models fetch ") for get in fetched)


def test_what_a_row_failed_with_names_home_and_dataset(
    curate: Call, filled: Filled, home: Path
) -> None:
    message = "x; `curate retry DATASET --stage cut`"
    with writing(filled.engine) as connection:
        update = text("UPDATE clips SET error = :message WHERE status = 'failed'")
        connection.execute(update, {"message": message})
    advice = f"curate --home {home} retry pets --stage cut"
    for form in ((), ("--all",), ("--csv",), ("--json",), ("--id", "5")):
        assert f"x; {advice}" in curate("--home", str(home), "errors", *form).out, form


def test_every_command_in_an_error_stands_in_backticks() -> None:
    """So that none is printed without the home. `curate sql` as a subject is no command."""
    for kind in (vars(errors) | vars(row_errors)).values():
        if isinstance(kind, type) and issubclass(kind, errors.CurateError):
            bare = re.sub("`[^`]*`", "", " ".join((kind.__doc__ or "").split()))
            names = "|".join(entry.name for entry in COMMANDS if entry.name != "sql")
            assert not re.search(rf"curate ({names})\b", bare), kind
