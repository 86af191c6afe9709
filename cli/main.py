"""The program `curate`: parses the command line, prints errors, sets the exit code.

0 fine · 1 something failed (rows too) · 2 wrong usage · 3 wrong pipeline, filter or setting
4 a service or package is missing · 130 stopped by Ctrl-C or curate cancel
"""

from __future__ import annotations

import copy
import errno
import gc
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

import curate.cli
from curate.configs.errors import CurateError
from curate.configs.shown import folded, plain

INTERRUPTED = 130
PIPE_CLOSED = 141
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # of standard output

# options of the program that may also stand behind a command
ANYWHERE = ("home", "verbose", "quiet")

# headings of `curate --help`
WORK = "Work"
LOOK = "Look"
ROWS = "Rows"
HOST = "This host"


@dataclass(frozen=True)
class Entry:
    """A command or a group of commands, in the module of its name: curate.cli.NAME.

    The module holds a function or a typer.Typer of the same name, with an underscore behind it
    where Python has that name already. `help` is the first paragraph of its docstring.
    """

    name: str
    panel: str
    help: str

    def stand_in(self) -> TyperCommand:
        """What `curate --help` and the shell need to know of the command, without its module."""
        return TyperCommand(self.name, help=self.help, rich_help_panel=self.panel)

    def load(self) -> Any:
        """The command itself, from its module."""
        gc.disable()  # what modules make stays: to look for garbage in it takes a tenth of the time
        try:
            module = import_module(f"curate.cli.{self.name}")
        finally:
            gc.enable()
        command = getattr(module, self.name, None) or getattr(module, f"{self.name}_")
        parent = typer.Typer()
        if isinstance(command, typer.Typer):
            parent.add_typer(command, name=self.name)
        else:
            parent.command(self.name)(command)
        loaded = get_group(parent).commands[self.name]
        _join_lines(loaded)
        return loaded


COMMANDS = [
    Entry(
        "run",
        WORK,
        "Turn videos into clips and write the clips that passed every filter to a table.",
    ),
    Entry(
        "plan",
        WORK,
        "Predict what a run will cost, by running the pipeline on a sample of the videos.",
    ),
    Entry(
        "enqueue",
        WORK,
        "Put new and changed videos into a dataset; workers take it from there.",
    ),
    Entry(
        "resume",
        WORK,
        "Go on with a dataset that was interrupted; with -o also write the clips.",
    ),
    Entry(
        "pause",
        WORK,
        "Stop work on a dataset once the batches at work are done; workers turn to other datasets.",
    ),
    Entry(
        "cancel",
        WORK,
        "Stop work on a dataset at once: what batches at work find is not saved, and a run of it "
        "ends.",
    ),
    Entry(
        "worker",
        WORK,
        "Serve queues in the foreground until Ctrl-C or SIGTERM; the log goes to stderr.",
    ),
    Entry(
        "flower",
        WORK,
        "Serve Flower, Celery's web page: tasks by stage, workers, queue lengths. Read-only.",
    ),
    Entry(
        "workers",
        LOOK,
        "List the workers of all hosts: queue, processes, version of curate, when they were seen, "
        "rows at work.",
    ),
    Entry("status", LOOK, "Show how far each stage is, who works on it, and what failed most."),
    Entry(
        "datasets",
        LOOK,
        "List all datasets: videos, clips, kept and failed ones, state, size on disk, when made.",
    ),
    Entry(
        "buckets",
        LOOK,
        "List the sizes and lengths in which trainers batch clips, and count the clips in each.",
    ),
    Entry(
        "errors",
        LOOK,
        "Show what failed: the kind of error, how many rows, one of them, and what to do.",
    ),
    Entry(
        "show",
        LOOK,
        "Show one clip: its values, scores, captions and duplicates, and why it is where it is.",
    ),
    Entry(
        "verify",
        LOOK,
        "Check whether the files of clips are there and whole, and the sources unchanged.",
    ),
    Entry("retry", LOOK, "Put failed rows back to the stage where they failed."),
    Entry(
        "history",
        LOOK,
        "Show what each stage of a dataset has done: batches, rows, seconds, when, and by which "
        "version.",
    ),
    Entry(
        "metrics",
        LOOK,
        "Serve numbers for Prometheus: rows by stage and status, rates, seconds, failures, "
        "workers, queues.",
    ),
    Entry(
        "view",
        LOOK,
        "Show what became of videos and clips, in the browser: funnel, scores, clips, failures.",
    ),
    Entry("stages", LOOK, "List the stages, or the options and columns of one."),
    Entry("config", LOOK, "Show every setting and option in force, and where each comes from."),
    Entry("init", LOOK, "Write a commented pipeline file with every option, to be edited."),
    Entry(
        "filter",
        ROWS,
        "Show the funnel: for each stage and filter in order, the rows that came in, were kept, "
        "were dropped.",
    ),
    Entry(
        "stats",
        ROWS,
        "Show how the values of columns are distributed: count, NULL, quantiles, a histogram.",
    ),
    Entry(
        "diff",
        ROWS,
        "Compare two datasets: clips in one only, differing verdicts and scores.",
    ),
    Entry("refilter", ROWS, "Apply changed filters to all clips; nothing is scored again."),
    Entry("pick", ROWS, "Keep or drop single clips by hand, whatever the filters say."),
    Entry("sql", ROWS, "Ask the database; without a statement list its tables and columns."),
    Entry(
        "export",
        ROWS,
        "Write the clips of datasets as a table, or with their files as what a trainer reads.",
    ),
    Entry(
        "rebuild",
        ROWS,
        "Cut the clips of a manifest again, and prove that their frames are the same.",
    ),
    Entry(
        "search",
        ROWS,
        "The clips that look most like a text, by the CLIP embeddings that the stage clip_embed "
        "stored.",
    ),
    Entry(
        "concepts",
        ROWS,
        "Groups of clips that look alike: fit them, list them, drop what looks like another clip.",
    ),
    Entry(
        "redo",
        ROWS,
        "Put clips that are through with a stage, or failed in it, back before it; --set gives it "
        "other options.",
    ),
    Entry(
        "set",
        ROWS,
        "Change how a stage runs: queue, batch_size, pass_size, fill_seconds, time_limit, "
        "memory_mb.",
    ),
    Entry(
        "recaption",
        ROWS,
        "Caption clips once more, then clean and match the new captions; --set gives the "
        "captioner other options.",
    ),
    Entry(
        "reclean",
        ROWS,
        "Clean captions once more, from the texts as they were written; --set gives clean_text "
        "other options.",
    ),
    Entry("captions", ROWS, "Captions from outside, and comparisons."),
    Entry(
        "doctor",
        HOST,
        "Check packages, codecs, database, broker and disk; exits with 4 when something that is "
        "needed is missing.",
    ),
    Entry(
        "prune",
        HOST,
        "Find files that nobody needs, and with --yes remove them: of dropped clips, samples, "
        "leftovers.",
    ),
    Entry("models", HOST, "Weights of models: what is needed, what is there, how to get it."),
    Entry("db", HOST, "Make the database, or bring its schema up to date."),
]


class Program(TyperGroup):
    """The group of all commands. It imports the module of a command when that one is called.

    It also prints the errors of curate, and gives each way to end its exit code before typer does.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {entry.name: entry.stand_in() for entry in COMMANDS}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that a command line calls, loaded, and what follows its name."""
        name, _, rest = super().resolve_command(ctx, args)
        command = next((e.load() for e in COMMANDS if e.name == name), None)
        for option in self.params:
            if option.name in ANYWHERE:
                _take_too(command, option)
        return name, command, rest

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CurateError as error:
            from curate.cli.shared.session import Session  # imports pydantic

            session = Session.of(ctx)
            code = _report(session.advise(str(error)), error.exit_code, session.verbose)
            raise typer.Exit(code) from None
        except BrokenPipeError:
            raise typer.Exit(PIPE_CLOSED) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


def _join_lines(command: Any) -> None:
    """Make each paragraph of a command's help, and of those below it, one line: typer keeps the
    line breaks of a docstring, which a narrow terminal then folds once more. Examples stay.
    """
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(
        text if text.startswith("Example:") else " ".join(text.split()) for text in paragraphs
    )
    for below in getattr(command, "commands", {}).values():
        _join_lines(below)


def _take_too(command: Any, option: Any) -> None:
    """Let a command, and each one below it, take an option of the program behind its name too."""

    def put_where_session_looks(ctx: Any, option: Any, value: Any) -> None:
        if value:
            ctx.find_root().params[option.name] = value

    own = copy.copy(option)
    own.expose_value, own.callback = False, put_where_session_looks
    own.hidden = option.name != "home"
    command.params.append(own)
    for below in getattr(command, "commands", {}).values():
        _take_too(below, option)


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


def _show_version(requested: bool) -> None:
    if requested:
        print(f"curate {curate.__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
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
    """Options of every command; shared.session.Session reads them."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program and exit."""
    speaks_utf8 = sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1"
    if argv is None and not speaks_utf8:
        # as in the locale C with Python's UTF-8 mode off: Python could neither print nor open what
        # the database holds; the workers inherit the mode
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell closed it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  open to the end
        elif getattr(sys, name).encoding != "utf-8":
            getattr(sys, name).reconfigure(errors="backslashreplace")
    curate.cli.is_program = argv is None
    code = call(sys.argv[1:] if argv is None else argv)
    lost = code == PIPE_CLOSED
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # a reader that went away early is no error to report
        code, lost = PIPE_CLOSED, True
    except OSError as error:
        code, lost = code or _report(_unwritten(error), 1, verbose=False), True
    if lost:  # or Python complains about it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if argv is None:  # or Python looks through all objects that are left, for up to half a second
        gc.freeze()
    sys.exit(code)


def call(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code. Prints errors on stderr in plain text."""
    # looked up by hand, since what cannot be parsed may be the command line itself
    verbose = any(word in ("-v", "--verbose") for word in argv)
    try:
        result = app(list(argv), prog_name="curate", standalone_mode=False)
    except SystemExit as ended:  # shell completion
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as error:  # noqa: BLE001  the top: whatever else happens is one line
        if hasattr(error, "format_message"):
            # of typer's parser, whose class differs between versions of typer
            message = error.format_message()
            if type(error).__name__ == "NoArgsIsHelpError":
                print(message)
                return 2
            context = getattr(error, "ctx", None)
            message = message.rstrip(".")
            stop = " " if message.endswith("?") else ". "
            hint = f"{stop}See: {context.command_path} --help" if context else ""
            return _report(f"{message}{hint}", int(getattr(error, "exit_code", 2)), verbose=False)
        if type(error).__name__ == "Abort":
            return INTERRUPTED
        if isinstance(error, OSError) and error.errno in _FULL and not error.filename:
            return _report(_unwritten(error), 1, verbose)
        from curate.configs.settings import without_passwords  # imports pydantic

        message = " ".join(f"{type(error).__name__}: {error}".split())
        again = shlex.join(["curate", "--verbose", *map(without_passwords, argv)])
        hint = "" if verbose else f". Run again with: {again}"
        return _report(f"unexpected {message}{hint}", 1, verbose)
    return result if isinstance(result, int) else 0


def _unwritten(error: OSError) -> str:
    return f"what was asked for cannot be written to standard output: {error.strerror}"


def _report(message: str, code: int, verbose: bool) -> int:
    from curate.configs.settings import without_passwords  # imports pydantic

    if verbose:
        print(plain(without_passwords(traceback.format_exc())), end="", file=sys.stderr)
    print(folded(f"error: {plain(without_passwords(message))}", sys.stderr), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
