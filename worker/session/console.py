"""Remarks on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable

from curate.configs.shown import folded, plain


class Console:
    """Remarks on stderr; silent with --quiet, but for warnings.

    `advise` makes the commands in a text ones that run as they are printed.
    """

    def __init__(self, quiet: bool = False, advise: Callable[[str], str] = str) -> None:
        self.quiet = quiet
        self._advise = advise

    def say(self, text: str) -> None:
        """A remark."""
        if not self.quiet:
            print(folded(plain(self._advise(text)), sys.stderr), file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Something that went wrong without ending the command."""
        line = f"warning: {plain(self._advise(text))}"
        print(folded(line, sys.stderr), file=sys.stderr, flush=True)
