"""The program `curate`: parses the command line, prints errors, sets the exit code.

0 fine · 1 something failed (rows too) · 2 wrong usage · 3 wrong pipeline, filter or setting
4 a service or package is missing · 130 stopped by Ctrl-C or curate cancel
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from curate.cli import (
    captions,
    data,
    db,
    doctor,
    funnel,
    history,
    hold,
    hosts,
    info,
    metrics,
    models,
    redo,
    run,
    search,
    status,
    workers,
)
from curate.cli.output import plain
from curate.cli.session import Session
from curate.configs.errors import CurateError

INTERRUPTED = 130
PIPE_CLOSED = 141


class Program(TyperGroup):
    """The group of all commands; gives two ways to end their exit codes before typer does."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise typer.Exit(PIPE_CLOSED) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="curate",
    cls=Program,
    help="Turn folders of raw videos into clean clips for training text-to-video models.",
    epilog="Start with: curate run VIDEOS -o clips.csv",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_GROUPS = (
    run, hold, workers, hosts, status, history, metrics, funnel, data, search, redo, captions, info, models, doctor, db,
)  # fmt: skip
for _group in _GROUPS:
    _group.add_to(app)


def _show_version(asked: bool) -> None:
    if asked:
        import curate

        print(f"curate {curate.__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    ctx: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home", metavar="FOLDER", help="Folder of the database and clips (or CURATE_HOME)."
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show where an error comes from.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print data, warnings and errors only.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    ctx.obj = Session(home, verbose, quiet)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program and exit."""
    code = call(sys.argv[1:] if argv is None else argv)
    sys.exit(_flushed(code))


def call(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Errors are printed on stderr in plain text."""
    verbose = _is_verbose(argv)
    try:
        result = app(list(argv), prog_name="curate", standalone_mode=False)
    except CurateError as error:
        return _report(str(error), error.exit_code, verbose)
    except SystemExit as ended:  # shell completion
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as error:  # noqa: BLE001  the top: whatever else happens is told in one line
        return _other(error, verbose)
    return result if isinstance(result, int) else 0


def _is_verbose(argv: Sequence[str]) -> bool:
    """Whether tracebacks are wanted, before the command line is parsed: it may be what is wrong."""
    return any(word in ("-v", "--verbose") for word in argv)


def _other(error: Exception, verbose: bool) -> int:
    """Report what the parser raised (wrong usage), or what nobody expected."""
    show = getattr(error, "format_message", None)
    if show is not None:  # typer's own errors, whose class differs between its versions
        return _usage(error, show())
    if type(error).__name__ == "Abort":
        return INTERRUPTED
    what = " ".join(f"{type(error).__name__}: {error}".split())
    hint = "" if verbose else ". Run again with: curate --verbose …"
    return _report(f"unexpected {what}{hint}", 1, verbose)


def _usage(error: Exception, message: str) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message)
        return 2
    hint = f" See: {context.command_path} --help" if context else ""
    return _report(f"{message}{hint}", int(getattr(error, "exit_code", 2)), verbose=False)


def _report(message: str, code: int, verbose: bool) -> int:
    if verbose:
        print(plain(traceback.format_exc()), end="", file=sys.stderr)
    print(f"error: {plain(message)}", file=sys.stderr)
    return code


def _flushed(code: int) -> int:
    """The exit code, once stdout took everything; a reader that went away early is no error to
    tell.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    if code == PIPE_CLOSED:  # or Python complains about it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    main()
