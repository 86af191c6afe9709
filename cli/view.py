"""`curate view`: pages for the browser that show what became of videos and clips."""

from __future__ import annotations

import os
import socket
import threading
import webbrowser
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.shared.options import Address, DatasetName, Hosts
from curate.cli.shared.output import Counter
from curate.cli.shared.serving import url_of
from curate.cli.shared.session import Session
from curate.configs.errors import ServiceError
from curate.configs.settings import LOOPBACK
from curate.db.readonly.engine import read_only_engine
from curate.tasks.storage.locations import home_text
from curate.worker.session.database import open_dataset
from curate.worker.session.signals import signals_interrupt

if TYPE_CHECKING:
    from curate.view.state import Home

PORT = 8350
PATIENCE = 3600.0  # seconds that all rows of a dataset may take to read


def view(
    ctx: typer.Context,
    dataset: DatasetName = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the pages to one HTML file and exit."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve on; 0: any free one.")
    ] = PORT,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    address: Address = "127.0.0.1",
    host: Hosts = None,
) -> None:
    """Show what became of videos and clips, in the browser: funnel, scores, clips, failures.

    The pages only read; where something can be changed, they show the command. Only this host can
    reach them; from another one: ssh -L 8350:127.0.0.1:8350 HOST. The printed URL holds a token,
    and nobody sees the pages without it. Browsers must call this host by its name or by a --host.

    With -o, curate writes the pages to one file that you can send to somebody: it opens offline,
    and shows all counts and the pictures of at most 600 clips.

    Example:
      curate view
      curate view -o report.html
      curate view pets --port 9000 --no-open
    """
    session = Session.of(ctx)
    home = _home(session, open_dataset(session, dataset).name)
    if output:
        _write(session, home, output)
        return
    names = {*LOOPBACK, socket.gethostname().lower(), address.lower(), *map(str.lower, host or ())}
    with _listen(address, port) as listening:
        _serve(session, home, listening, names, not no_open)


def _serve(
    session: Session, home: Home, listening: socket.socket, names: Collection[str], may_open: bool
) -> None:
    """Serve the pages under these names of this host until a signal."""
    # imports tornado
    from curate.view.security import Access
    from curate.view.server import serve

    address, port = listening.getsockname()[:2]
    access = Access(names, f"curate_view_{port}")
    shown_at = url_of("127.0.0.1" if address in ("0.0.0.0", "::") else address, port)  # noqa: S104

    def ready() -> None:
        print(f"{shown_at}/?token={access.token}", flush=True)
        session.console.say(f"showing {home.name}   (Ctrl-C stops it)")
        if address not in LOOPBACK:
            session.console.warn(
                f"other hosts can reach {address}: whoever has the URL sees the pages, and they "
                "cross the network unencrypted"
            )
        # without a desktop, a browser of text would take over this terminal
        in_a_window = any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
        if may_open and in_a_window:
            url = f"{shown_at}/?token={access.token_for_once}"
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    with signals_interrupt():
        try:
            serve(home, access, listening, ready)
        except KeyboardInterrupt:
            os._exit(0)  # Python would wait for the threads that still read


def _home(session: Session, name: str) -> Home:
    """What the pages read: engines that cannot write, and the dataset that is shown first."""
    from curate.view.state import Home

    settings = session.settings
    database = settings.readonly_database_url or settings.database
    return Home(
        read_only_engine(database, settings.sql_seconds, home_text(settings)),
        settings,
        name,
        session.command,
        lambda text, name: Session(home=session.home, dataset=name).advise(text),
        read_only_engine(database, PATIENCE, home_text(settings)),
    )


def _write(session: Session, home: Home, output: Path) -> None:
    """Write the report. Raises ServiceError."""
    from curate.view.report import write_report  # loads NumPy

    try:
        with (
            Counter(session.console, "rows read") as rows,
            Counter(session.console, "parts of the report") as parts,
        ):
            written = write_report(home, output.expanduser().absolute(), parts.show, rows.show)
    except OSError as error:
        raise ServiceError(what=f"The file {output}", why=error.strerror or error) from None
    clips = f"{written['clips']:,} of {written['of']:,} clips".replace(",", " ")
    print(f"{output}: {clips}, {written['bytes'] / 1e6:.1f} MB")


def _listen(address: str, port: int) -> socket.socket:
    """A socket that listens. Raises ServiceError, which says what to type, for a port in use."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, port), family=family)
    except OSError as error:  # socket.gaierror too
        other = "Choose any free one with: `curate view DATASET --port 0`"
        why = f"{error.strerror or error}. {other}"
        raise ServiceError(what=f"The port {port} of {address}", why=why) from None
    listening.setblocking(False)
    return listening
