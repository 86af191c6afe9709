"""A hostile statement, run without the first fence: it must change nothing and tell nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from curate.configs.errors import ConfigError, SqlTimeout
from curate.db.readonly.query import run_unchecked

SHORT = 0.5  # seconds, for statements that would go on
SECRET = "what the file says"


def content(url: str) -> list[Any]:
    """All that a statement could have changed in the database."""
    engine = create_engine(url)
    tables = (
        "SELECT name FROM sqlite_master"
        if url.startswith("sqlite")
        else "SELECT relname FROM pg_class"
    )
    queries = ["SELECT * FROM clips ORDER BY id", f"{tables} ORDER BY 1"]
    if not url.startswith("sqlite"):
        queries += [
            "SELECT last_value FROM clips_id_seq",
            "SELECT count(*) FROM pg_largeobject_metadata",
        ]
        queries += [
            "SELECT rolname, rolsuper FROM pg_roles ORDER BY 1",
            "SELECT name, setting FROM pg_file_settings",
        ]
    with engine.connect() as connection:
        found = [connection.execute(text(q)).all() for q in queries]
    engine.dispose()
    return found


def attack(url: str, template: str, expected: type[ConfigError], folder: Path) -> None:
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    folder.chmod(0o777)
    statement = template.format(folder=folder, secret=secret, long="a" * 4000, short="a" * 1000)
    before = content(url)
    with pytest.raises(expected) as caught:
        run_unchecked(url, statement, SHORT if expected is SqlTimeout else 60)
    assert SECRET not in str(caught.value)
    assert content(url) == before
    assert [f.name for f in folder.iterdir()] == ["secret"]
