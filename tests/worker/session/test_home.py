"""The home of a call: the commands that its remarks name, and the folder itself."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from curate.configs.errors import ServiceError
from curate.worker.session.display import Lines
from curate.worker.session.home import HomeSession


def test_commands_that_are_printed_are_quoted_and_name_the_home() -> None:
    assert HomeSession().command("sql", "SELECT 1") == "curate sql 'SELECT 1'"
    printed = HomeSession(home=Path("a b")).command("status", "pets")
    assert shlex.split(printed) == ["curate", "--home", "a b", "status", "pets"]


def test_advice_runs_as_printed_on_the_home_and_dataset_of_the_call() -> None:
    said = "try: `curate retry DATASET --stage cut`, or `curate doctor`; `rm` stays"
    assert (
        HomeSession().advise(said) == "try: curate retry --stage cut, or curate doctor; `rm` stays"
    )
    session = HomeSession(home=Path("a b"), dataset="pets")
    assert session.advise(said) == (
        "try: curate --home 'a b' retry pets --stage cut, or curate --home 'a b' doctor; `rm` stays"
    )


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="Name another one with --home or CURATE_HOME"):
        HomeSession(tmp_path / "file" / "home").make_home()


def test_from_python_lines_show_how_far_a_run_is() -> None:
    assert isinstance(HomeSession().display(), Lines)
