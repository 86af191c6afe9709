"""A table of each kind of column, with rows that engines like to disagree about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Engine, MetaData, Table
from sqlalchemy.types import BigInteger, Float, Integer, Text

from curate.db.engine import make_engine
from curate.db.filters.columns import columns_of

rows = Table(
    "rows",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("flow", Float(53)),
    Column("match", Float(53)),  # a keyword of SQLite
    Column("width", Integer),
    Column("resolution", BigInteger),
    Column("codec", Text),
    Column("path", Text),
)
COLUMNS = columns_of(rows)
DATA: list[dict[str, Any]] = [
    {
        "id": 1,
        "flow": 0.5,
        "match": 0.2,
        "width": 3,
        "resolution": 2,
        "codec": "h264",
        "path": "a/B.mp4",
    },
    {
        "id": 2,
        "flow": 0.0,
        "match": -1.5,
        "width": 0,
        "resolution": 0,
        "codec": "H264",
        "path": "a/é_%[x]*?.mp4",
    },
    {
        "id": 3,
        "flow": None,
        "match": None,
        "width": None,
        "resolution": None,
        "codec": None,
        "path": None,
    },
    {
        "id": 4,
        "flow": 2e9,
        "match": 1,
        "width": 2**31 - 1,
        "resolution": 2**53,
        "codec": "É",
        "path": "back\\slash",
    },
    {
        "id": 5,
        "flow": 0.3,
        "match": 0.3,
        "width": 1920,
        "resolution": 2073600,
        "codec": "",
        "path": "it's",
    },
]


def filled(url: str) -> Engine:
    """A database with the table and its rows."""
    engine = make_engine(url)
    rows.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(rows.insert(), DATA)
    return engine
