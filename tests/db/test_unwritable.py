"""A SQLite database read by a user who may not write to it: a real second user."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.errors import ServiceError
from curate.db import unwritable
from curate.db.engine import make_engine, reading, writing

NOBODY = 65534
READ = f"""
import os, sys
from curate.db.engine import make_engine, reading, writing
from curate.configs.errors import ServiceError
from sqlalchemy import text
with reading(make_engine("sqlite://")):
    pass  # what is imported late: the other user may not read this installation
os.setgroups([]); os.setresgid(*[{NOBODY}] * 3); os.setresuid(*[{NOBODY}] * 3)
engine = make_engine(sys.argv[1])
with reading(engine) as connection:
    print(connection.execute(text("SELECT count(*) FROM t")).scalar_one())
try:
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO t VALUES (0)"))
except ServiceError as error:
    print("may not write to it" in str(error))
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A database of three rows in a folder that others may read."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = folder / "curate.db"
        engine = make_engine(f"sqlite:///{file}")
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE t (n INTEGER)"))
            connection.execute(text("INSERT INTO t VALUES (1), (2), (3)"))
        engine.dispose()
        assert list(folder.iterdir()) == [file]
        yield file


def as_nobody(file: Path) -> list[str]:
    """What a second user reads, and whether writing is refused; the folder stays as it is."""
    before = sorted(file.parent.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", READ, f"sqlite:///{file}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(file.parent.iterdir()) == before
    return done.stdout.split()


def test_a_file_at_rest_is_read_and_nothing_is_left_beside_it(shared: Path) -> None:
    assert as_nobody(shared) == ["3", "True"]


def test_a_file_that_a_process_has_open_is_read_with_its_last_changes(shared: Path) -> None:
    owner = make_engine(f"sqlite:///{shared}")
    with writing(owner) as connection:
        connection.execute(text("INSERT INTO t VALUES (4)"))
    with reading(owner):
        assert Path(f"{shared}-wal").stat().st_size
        assert as_nobody(shared) == ["4", "True"]


def test_a_file_whose_writer_was_killed_is_read_with_its_last_changes(shared: Path) -> None:
    statements = "c.execute('PRAGMA journal_mode=WAL'); c.execute('INSERT INTO t VALUES (4)')"
    script = f"import os, sqlite3; c = sqlite3.connect({str(shared)!r}, isolation_level=None); "
    subprocess.run([sys.executable, "-c", f"{script}{statements}; os.abort()"], check=False)
    assert Path(f"{shared}-wal").stat().st_size
    assert as_nobody(shared) == ["4", "True"]


def test_a_reader_that_was_overtaken_by_a_writer_says_so(shared: Path) -> None:
    connection = unwritable.connect(str(shared))
    assert not connection.was_disturbed
    with writing(make_engine(f"sqlite:///{shared}")) as writer:
        writer.execute(text("INSERT INTO t VALUES (4)"))
    assert connection.was_disturbed
    connection.close()


def test_what_the_owner_may_write_to_is_not_unwritable(shared: Path) -> None:
    assert not unwritable.is_unwritable(str(shared))
    assert not unwritable.is_unwritable(f"{shared}-none")
    assert not unwritable.is_unwritable(None)


def test_an_engine_says_that_it_was_overtaken(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.db.engine.is_unwritable", lambda path: True)
    engine = make_engine(f"sqlite:///{shared}")
    with pytest.raises(ServiceError, match="written to while it was read"), reading(engine) as c:
        assert c.execute(text("SELECT count(*) FROM t")).scalar_one() == 3
        os.utime(shared, ns=(1, 1))
    assert stat.S_ISREG(shared.stat().st_mode)
