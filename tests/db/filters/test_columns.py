"""Columns by name: those of tables, of --columns and of --sort."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select

from curate.configs.errors import UsageError
from curate.db.filters.check import check_where
from curate.db.filters.columns import check_columns, check_sort, columns_of, order_by
from curate.db.schema import clips
from tests.db.filters.rows import COLUMNS, rows


def test_the_columns_of_a_table_and_their_kinds() -> None:
    columns = columns_of(clips)
    kinds = {n: columns[n].kind for n in ("path", "fps", "resolution", "status")}
    assert kinds == {"path": "text", "fps": "float", "resolution": "int", "status": "text"}


@pytest.mark.parametrize("name", sorted(columns_of(clips)))
def test_every_column_can_be_named(name: str) -> None:
    """None of them is a word that the reader of predicates takes for something else."""
    check_where(f"{name} IS NOT NULL AND {name} = {name}", columns_of(clips))


def test_export_columns() -> None:
    assert check_columns(["path", " flow "], COLUMNS) == ["path", "flow"]
    with pytest.raises(UsageError, match=r"--columns: there is no column pth \(did you mean path"):
        check_columns(["pth"], COLUMNS)
    with pytest.raises(UsageError, match="path is there twice"):
        check_columns(["path", "path"], COLUMNS)


@pytest.mark.parametrize(
    "sort",
    ["flow; DROP TABLE rows", "", "flow,", "flow sideways", "flow desc desc", "1", "flow + 1"],
)
def test_export_sort_is_refused(sort: str) -> None:
    with pytest.raises(UsageError, match="--sort"):
        check_sort(sort, COLUMNS)


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("flow", [2, 5, 1, 4, 3]),
        ("flow desc, id", [4, 1, 5, 2, 3]),
        ("codec", [5, 2, 1, 4, 3]),
        ("path DESC", [5, 4, 2, 1, 3]),
    ],
)
def test_export_sorts_the_same_on_both_engines(sort: str, ids: list[int], engine: Engine) -> None:
    query = select(rows.c.id).order_by(*order_by(sort, COLUMNS, engine.dialect.name))
    with engine.connect() as connection:
        assert list(connection.execute(query).scalars()) == ids
