"""The documentation keeps up with the program: every command line in it can be parsed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.cli.main import COMMANDS
from curate.tasks.registry import stages

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def command_lines(text: str) -> Iterator[str]:
    """Lines of code blocks that call curate, without prompt and comment; continued lines joined."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = line.strip().removeprefix("$ ")
            if found.startswith("curate "):
                yield re.sub(r"\s+#.*", "", found)


PROGRAM = {entry.name: entry.load() for entry in COMMANDS}


def find(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words call, and what is left of them. Raises KeyError for one that does not
    exist.
    """
    commands: Any = PROGRAM
    while words and commands:
        word, *words = words
        if not word.startswith("-"):
            command = commands[word]
            commands = getattr(command, "commands", None)
        elif word == "--home":
            words = words[1:]
    return command, words


def unknown_options(command: Any, words: list[str]) -> list[str]:
    """Options among words that the command does not have."""
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    return [w for w in words if re.match(r"--?[A-Za-z]", w) and w.partition("=")[0] not in known]


LINES = [
    (page.name, line) for page in PAGES if page.exists() for line in command_lines(page.read_text())
]


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda v: v)
def test_command_lines_of_the_documentation_exist(page: str, line: str) -> None:
    words = list(before_shell(shlex.split(line)[1:]))
    command, rest = find(words)
    assert unknown_options(command, rest) == []
    assert unknown_names(words) == []


def help_lines() -> Iterator[tuple[str, str]]:
    """Each command with each line of the examples in its help."""
    lines: list[tuple[str, Any]] = [
        (f"curate {name}", command) for name, command in PROGRAM.items()
    ]
    for name, command in lines:
        lines += [
            (f"{name} {inner}", found) for inner, found in getattr(command, "commands", {}).items()
        ]
        _, _, examples = (command.help or "").partition("Example:")
        for line in examples.replace("\b", "").splitlines():
            if line.strip().startswith("curate "):
                yield name, line.strip()


def unknown_names(words: list[str]) -> list[str]:
    """Stages and options of stages among words that do not exist; what names a filter's predicate
    is let pass.
    """
    assigned = [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("--set", "set")]
    named = words[1:2] if words[0] == "redo" else []
    found = [name for name in named if name not in stages()]
    for assignment in assigned:
        step, _, option = assignment.partition("=")[0].partition(".")
        listed, _, part = option.partition(".")
        if part and listed in stages()[step].Options.model_fields:  # captioners.openai.url
            step, _, option = part.partition(".")
        known = stages()[step].Options.model_fields if step in stages() else ("where", "enabled")
        found += [] if option in known else [f"{step}.{option}"]
    return found


@pytest.mark.parametrize(("command", "line"), list(help_lines()), ids=lambda v: v)
def test_examples_in_the_help_of_commands_exist(command: str, line: str) -> None:
    words = list(before_shell(shlex.split(line)[1:]))
    found, rest = find(words)
    assert line.startswith(command)
    assert unknown_options(found, rest) == []
    assert unknown_names(words) == []


def test_wrong_names_in_an_example_are_found() -> None:
    example = (
        "redo option_match --set option_match.options=x --set lpipss.side=3 --set unique.where=y"
    )
    assert unknown_names(shlex.split(example)) == ["option_match.options", "lpipss.side"]
    assert unknown_names(["redo", "motio"]) == ["motio"]
    assert unknown_names(["set", "cut.time_limits=3"]) == ["cut.time_limits"]


def before_shell(words: list[str]) -> Iterator[str]:
    """The words before a pipe, a redirection or another command."""
    for word in words:
        if word in ("|", ">", "<", "&&", ";", "&"):
            return
        yield word


def test_wrong_command_lines_are_found() -> None:
    command, rest = find(["run", "videos", "--ouput", "x.csv"])
    assert unknown_options(command, rest) == ["--ouput"]
    with pytest.raises(KeyError):
        find(["rum", "videos"])
    assert list(command_lines("```\n$ curate run x \\\n  -o y  # why\n```\n`curate no`")) == [
        "curate run x    -o y"
    ]


def test_links_between_pages_lead_somewhere() -> None:
    for page in (p for p in PAGES if p.exists()):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("folder", ["configs", "db", "export", "tasks/video", "view", "worker"])
def test_the_table_of_a_folder_has_its_files(folder: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = (
        text.partition(f"The files of `{folder}/`:")[2].partition("\n\n")[2].partition("\n\n")[0]
    )
    named = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+\.py)`", line.split("|")[1])
    }
    assert named == {path.name for path in (ROOT / folder).glob("*.py")} - {"__init__.py"}


@pytest.mark.parametrize("folder", ["queue", "save", "filters", "reports", "readonly"])
def test_the_line_of_a_folder_of_db_has_its_files(folder: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    (line,) = re.findall(rf"^\| `{folder}/` \| (.*) \|$", text, re.MULTILINE)
    files = {path.stem for path in (ROOT / "db" / folder).glob("*.py")} - {"__init__"}
    assert files <= set(re.findall(r"`(\w+)`", line))
