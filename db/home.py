"""Paths below the home folder: stored relative to it, so that the home can be moved, and shown
absolute.

A stored path that begins with `./` is below the home. Whoever opens the database says where that
is now (`make_engine`); without it such paths are shown as they are stored.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Engine, Text
from sqlalchemy.types import TypeDecorator

from curate.db.shown_paths import BELOW_HOME

SQLITE_SHOWN = "shown_path"  # a function of ours in each connection (curate.db.engine)
POSTGRES_HOME = "curate.home"  # a setting of each connection

_homes: WeakKeyDictionary[Dialect, str] = WeakKeyDictionary()  # each engine has a dialect


def set_home(engine: Engine, home: str) -> None:
    """Say where the home is that paths of an engine's database are below."""
    _homes[engine.dialect] = home.rstrip("/")


def home_of(dialect: Dialect) -> str:
    """Where the home is, as a path without a slash at its end; empty when nobody said."""
    return _homes.get(dialect, "")


def stored_path(path: str, home: str) -> str:
    """A path as it is stored: relative where it is below the home."""
    return f".{path[len(home) :]}" if home and path.startswith(f"{home}/") else path


def stored_forms(path: str, home: str) -> set[str]:
    """The ways in which a path may be stored: absolute too, where another folder was the home."""
    return {path, stored_path(path, home)}


def shown_path(path: str, home: str) -> str:
    """A stored path as it is shown: absolute."""
    return f"{home}{path[1:]}" if home and path.startswith(BELOW_HOME) else path


class HomePath(TypeDecorator[str]):
    """A column of paths: Python and conditions see absolute ones."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The path as it is stored."""
        return None if value is None else stored_path(value, home_of(dialect))

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """The path as it is shown."""
        return None if value is None else shown_path(value, home_of(dialect))


def shown_sql(column: str, sqlite: bool) -> str:
    """SQL of a column of paths, as they are shown; for connections of `make_engine`."""
    if sqlite:
        return f"{SQLITE_SHOWN}({column})"
    home = f"coalesce(nullif(current_setting('{POSTGRES_HOME}', true), ''), '.')"
    is_below = f"left({column}, 2) = '{BELOW_HOME}'"
    return f"(CASE WHEN {is_below} THEN {home} || substr({column}, 2) ELSE {column} END)"
