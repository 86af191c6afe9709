"""A home as one call works on it: its settings, where remarks go, and the commands they name."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from curate.configs.errors import ServiceError
from curate.configs.settings import Settings, load_settings, without_passwords
from curate.worker.session.console import Console
from curate.worker.session.display import Display, Lines

_COMMAND = re.compile(r"`curate ([^`]*)`")


@dataclass
class HomeSession:
    """The home that a call is about, and the name of the dataset, once known; `quiet` keeps remarks
    to itself.
    """

    home: Path | None = None
    quiet: bool = False
    dataset: str = ""

    @cached_property
    def console(self) -> Console:
        """Where remarks go."""
        return Console(self.quiet, self.advise)

    @cached_property
    def settings(self) -> Settings:
        """Options over environment over defaults. Raises ConfigError."""
        return load_settings(home=self.home)

    def display(self) -> Display:
        """A new one, which shows how far a dataset is: a line now and then."""
        return Lines(self.console)

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
