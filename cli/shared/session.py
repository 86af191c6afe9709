"""The global options of a command line, and the home that they lead to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import typer

from curate.worker.session.display import Display
from curate.worker.session.home import HomeSession


@dataclass
class Session(HomeSession):
    """The global options of one call, and the name of the dataset that it is about, once known."""

    verbose: bool = False

    @classmethod
    def of(cls, ctx: typer.Context) -> Session:
        """The session of the call that a command is part of; one for the whole call."""
        root = ctx.find_root()
        if not root.obj:
            options = {name: root.params[name] for name in ("home", "verbose", "quiet")}
            root.obj = cls(**options)
        return cast(Session, root.obj)

    def display(self) -> Display:
        """A new one: bars on a terminal, else lines."""
        if self.quiet or not sys.stderr.isatty():
            return super().display()
        from curate.cli.shared.displays import LiveBars  # loads rich

        return LiveBars(to_stderr=True)

    def next(self, *commands: Sequence[str]) -> None:
        """A remark on the natural next command, or several: the words behind `curate`."""
        for number, words in enumerate(commands):
            self.console.say(f"{'  or' if number else 'Next'}: {self.command(*words)}")
