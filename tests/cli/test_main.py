"""The program's frame: exit codes, errors in plain text, help, quiet, suggestions."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from curate import cli
from curate.cli import main
from tests.cli.conftest import Call, Filled

LOADED = {entry.name: entry.load() for entry in main.COMMANDS}


def commands() -> list[tuple[str, ...]]:
    """The words of every command."""
    found: list[tuple[str, ...]] = []
    for name in (entry.name for entry in main.COMMANDS):
        inner = getattr(LOADED[name], "commands", None)
        found += [(name, sub) for sub in inner] if inner else [(name,)]
    return found


NAMES = [" ".join(words) for words in commands()]


@pytest.mark.parametrize("words", NAMES)
def test_every_command_has_help_with_an_example(curate: Call, words: str) -> None:
    result = curate(*words.split(), "--help")
    assert result.code == 0
    assert "Example:" in result.out
    assert f"curate {words}" in result.out.split("Example:")[1]


def test_help_is_folded_once(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "second over the last minute, or" in curate("status", "--help").out
    assert "one cannot be used, or none is there." in curate("models", "--help").out


def test_the_commands_are_those_of_the_issue() -> None:
    expected = "run enqueue worker flower status errors retry resume filter refilter sql export"
    assert {*expected.split(), "stages", "config", "doctor"} <= set(NAMES)


# what was typed, its exit code, and what the message must say
WRONG = [
    (["stattus"], 2, "'stages'? See: curate --help"),
    (["status", "--nope"], 2, "--nope"),
    (["run"], 2, "SOURCE"),
    (["run", "x"], 2, "no file or folder x"),
    (["run", "."], 2, "--output"),
    (["enqueue", "/nowhere/at/all"], 2, "/nowhere/at/all"),
    (
        ["run", ".", "-o", "clips.xlsx"],
        2,
        "-o clips.xlsx ends in .xlsx; tables end in .csv, .parquet or",
    ),
    (["run", ".", "-o", "/"], 2, "is a folder"),
    (["run", ".", "-o", "a.csv", "--config", "score.yaml"], 3, "did you mean scores.yaml or"),
    (["config", "--config", "defalt"], 3, "did you mean default.yaml or"),
    (["config", "--config", "nowhere/default.yaml"], 3, "there is no such file"),
    (["enqueue", ".", "--name", "a b"], 2, "a b"),
    (["worker", "-Q", "gpu"], 2, "cpu, ascend"),
    (["worker", "--loglevel", "loud"], 2, "loud"),
    (["flower", "--address", "0.0.0.0"], 2, "FLOWER_BASIC_AUTH"),
    (["stages", "splitt"], 2, "did you mean split?"),
    (["config", "--set", "split.min_seconds"], 3, "STEP.OPTION=VALUE"),
    (["config", "--set", "split.min_second=3"], 3, "did you mean min_seconds?"),
    (["config", "--set", "split.min_seconds=-3"], 3, "min_seconds"),
    (["config", "--set", "unique.where=duplicat = 0"], 3, "duplicate"),
    (["config", "-c", "/nowhere.yaml"], 3, "/nowhere.yaml"),
    (["status"], 2, "curate run"),
    (["export", "-o", "x.csv"], 2, "curate run"),
]


@pytest.mark.parametrize(("argv", "code", "says"), WRONG, ids=[" ".join(w[0]) for w in WRONG])
def test_what_is_wrong_is_told_in_one_line(
    curate: Call, argv: list[str], code: int, says: str, home: Path
) -> None:
    result = curate(*argv)
    assert result.code == code
    assert result.err.startswith("error: ")
    assert says in result.err
    assert result.err.count("\n") == 1
    assert result.out == ""
    assert not home.exists()  # nothing was made


def test_a_service_that_is_missing_gives_4(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/x")
    result = curate("status")
    assert (result.code, "secret" in result.err) == (4, False)
    assert "curate doctor" in result.err


def test_a_wrong_variable_gives_3(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_BROKER", "redis://x")
    result = curate("status")
    assert (result.code, "CURATE_BROKER_URL" in result.err) == (3, True)


def test_a_traceback_is_shown_with_verbose_only(curate: Call) -> None:
    assert "Traceback" not in curate("status").err
    assert "Traceback" in curate("--verbose", "status").err


def test_what_nobody_expected_is_one_line(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("curate.cli.status.open_dataset", explode)
    result = curate("status")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "RuntimeError: two lines" in result.err
    assert "--verbose" in result.err


def test_no_secret_of_a_url_is_repeated(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = "https://u:HUSH@h/a.mp4", "s3://b/a?x=1&token=HUSH", "https://h/?X-Amz-Signature=HUSH"
    for url in secrets:

        def explode(*_: object, url: str = url) -> None:
            raise RuntimeError(f"no {url}")

        monkeypatch.setattr("curate.cli.status.open_dataset", explode)
        for words in (["status", url], ["-v", "status", url], ["status", "a", url], ["st", url]):
            result = curate(*words)
            assert result.code in (1, 2)
            assert "HUSH" not in result.err + result.out, words
        again = curate("status", url).err.partition("Run again with: ")[2]
        assert shlex.split(again)[:3] == ["curate", "--verbose", "status"]


def test_ctrl_c_gives_130(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("curate.cli.status.open_dataset", interrupt)
    result = curate("status")
    assert (result.code, result.err) == (130, "interrupted\n")


def test_no_arguments_print_help_and_give_2(curate: Call) -> None:
    result = curate()
    assert (result.code, "Start with: curate run" in result.out) == (2, True)


def test_version(curate: Call) -> None:
    import curate as package

    assert curate("--version").out == f"curate {package.__version__}\n"


COMMAND = """
def greet(name: str) -> None:
    \"\"\"Greet somebody.

    Example:
      curate greet you
    \"\"\"
    print(f"hello {name}")
"""


def test_a_command_is_one_file_and_one_line_of_the_table(
    curate: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "greet.py").write_text(COMMAND)
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "curate.cli.greet", raising=False)
    entry = main.Entry("greet", main.LOOK, "Greet somebody.")
    monkeypatch.setattr(main, "COMMANDS", [*main.COMMANDS, entry])
    assert curate("greet", "you").out == "hello you\n"
    assert "Greet somebody." in curate("--help").out
    assert "curate greet you" in curate("greet", "--help").out
    assert "Did you mean 'greet'" in curate("gret").err


@pytest.mark.parametrize("entry", main.COMMANDS, ids=lambda entry: entry.name)
def test_the_table_and_a_commands_own_help_say_the_same(entry: main.Entry) -> None:
    command = LOADED[entry.name]
    assert entry.help == " ".join(command.help.split("\n\n")[0].split())
    assert entry.panel in (main.WORK, main.LOOK, main.ROWS, main.HOST)


def test_the_files_of_cli_are_the_commands_of_the_table() -> None:
    files = {path.stem for path in Path(main.__file__).parent.glob("*.py")}
    assert files - {"__init__", "main"} == {entry.name for entry in main.COMMANDS}
    assert len({entry.name for entry in main.COMMANDS}) == len(main.COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "errors",
        "errors --all",
        "errors --id 5",
        "datasets",
        "show 5",
        "stats",
        "stats flow reason",
        "show 1 --level video",
        "history",
        "workers",
        "stages",
        "stages split",
        "config",
        "filter",
        "models list",
        "sql",
    ],
)
def test_every_listing_is_json_that_any_parser_reads(
    curate: Call, filled: Filled, words: str
) -> None:
    """Also with an infinite score and length of a batch."""
    with filled.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET flow = 9e999, fps = -9e999"))
        connection.execute(text("UPDATE batches SET seconds = 9e999"))
    result = curate(*words.split(), "--json")
    assert result.code == 0, result.err
    json.loads(result.out, parse_constant=pytest.fail)
