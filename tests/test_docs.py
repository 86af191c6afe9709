"""The documentation keeps up with the program: every command line in it can be parsed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from curate.cli.main import app

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


def find(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words call, and what is left of them. Raises KeyError for one that does not exist."""
    command: Any = get_command(app)
    while words and hasattr(command, "commands"):
        word, *words = words
        if not word.startswith("-"):
            command = command.commands[word]
        elif word == "--home":
            words = words[1:]
    return command, words


def unknown_options(command: Any, words: list[str]) -> list[str]:
    """Options among words that the command does not have."""
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    return [w for w in words if re.match(r"--?[A-Za-z]", w) and w.partition("=")[0] not in known]


LINES = [(page.name, line) for page in PAGES if page.exists() for line in command_lines(page.read_text())]


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda v: v)
def test_command_lines_of_the_documentation_exist(page: str, line: str) -> None:
    words = list(before_shell(shlex.split(line)[1:]))
    command, rest = find(words)
    assert unknown_options(command, rest) == []


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
    assert list(command_lines("```\n$ curate run x \\\n  -o y  # why\n```\n`curate no`")) == ["curate run x    -o y"]


def test_links_between_pages_lead_somewhere() -> None:
    for page in (p for p in PAGES if p.exists()):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
