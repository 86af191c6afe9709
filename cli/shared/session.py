"""The global options of a call and the settings that they lead to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import typer

from curate.cli.shared.output import Console
from curate.configs.errors import ServiceError
from curate.configs.settings import Settings, load_settings


@dataclass
class Session:
    """The global options of one call."""

    home: Path | None = None
    verbose: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, ctx: typer.Context) -> Session:
        """The session of the call that a command is part of."""
        options = ctx.find_root().params
        return cls(**{name: options[name] for name in ("home", "verbose", "quiet")})

    @cached_property
    def console(self) -> Console:
        """Where remarks go."""
        return Console(self.quiet)

    @cached_property
    def settings(self) -> Settings:
        """Options over environment over defaults. Raises ConfigError."""
        return load_settings(home=self.home)

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
