"""The global options of a call and the settings that they lead to."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import typer

from curate.cli.shared.output import Console
from curate.configs.errors import ServiceError
from curate.configs.settings import Settings, load_settings, without_passwords

_COMMAND = re.compile(r"`curate ([^`]*)`")


@dataclass
class Session:
    """The global options of one call, and the name of the dataset that it is about, once known."""

    home: Path | None = None
    verbose: bool = False
    quiet: bool = False
    dataset: str = ""

    @classmethod
    def of(cls, ctx: typer.Context) -> Session:
        """The session of the call that a command is part of; one for the whole call."""
        root = ctx.find_root()
        if not root.obj:
            options = {name: root.params[name] for name in ("home", "verbose", "quiet")}
            root.obj = cls(**options)
        return cast(Session, root.obj)

    @cached_property
    def console(self) -> Console:
        """Where remarks go."""
        return Console(self.quiet, self.advise)

    @cached_property
    def settings(self) -> Settings:
        """Options over environment over defaults. Raises ConfigError."""
        return load_settings(home=self.home)

    def command(self, *words: str) -> str:
        """A command line of curate that a shell runs as it is printed, on the home of this call."""
        home = ("--home", str(self.home)) if self.home else ()
        return shlex.join(("curate", *home, *words))

    def advise(self, text: str) -> str:
        """The text, with commands that run as printed, on the home and the dataset of this call.

        They stand in backticks in it, with DATASET where the name of the dataset belongs; without
        it a command is about the newest one. Passwords in URLs are hidden.
        """
        dataset = f" {shlex.quote(self.dataset)}" if self.dataset else ""
        advised = _COMMAND.sub(
            lambda found: f"{self.command()} {found[1].replace(' DATASET', dataset)}", text
        )
        return without_passwords(advised)

    def next(self, *commands: Sequence[str]) -> None:
        """A remark on the natural next command, or several: the words behind `curate`."""
        for number, words in enumerate(commands):
            self.console.say(f"{'  or' if number else 'Next'}: {self.command(*words)}")

    def make_home(self) -> Path:
        """Make the home folder unless it exists, and return it.

        Raises ServiceError when it cannot be made or written to.
        """
        folder = self.settings.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            why = "" if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written to"
        except OSError as error:
            why = error.strerror or str(error)
        if why:
            why = f"{why}. Name another one with --home or CURATE_HOME"
            raise ServiceError(what=f"The home folder {folder}", why=why)
        return folder
