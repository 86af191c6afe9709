"""The schema of the migrations is the schema of the tables."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from curate.configs.errors import PackageMissing, SchemaNewer, SchemaOutdated, ServiceError
from curate.db import migrate
from curate.db.datasets import all_datasets
from curate.db.engine import make_engine, writing
from curate.db.schema import metadata


def test_all_migrations_make_the_tables(empty_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = make_engine(empty_url)
    migrate.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def described(engine: Engine) -> dict[str, Any]:
    """Tables, columns, keys, indexes and numbers of rows of a SQLite file, in no order."""

    def plain(listed: Any) -> set[str]:
        return {
            str(sorted((k, str(v)) for k, v in one.items() if k != "dialect_options"))
            for one in listed
        }

    found = inspect(engine)
    tables = {
        name: [
            plain(found.get_columns(name)),
            plain(found.get_indexes(name)),
            plain(found.get_foreign_keys(name)),
            plain(found.get_unique_constraints(name)),
            sorted(found.get_pk_constraint(name).items(), key=str),
        ]
        for name in found.get_table_names()
    }
    views = found.get_view_names()
    numbered = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"
    some = "SELECT name, substr(sql, instr(sql, ' WHERE ')) FROM sqlite_master WHERE type = 'index'"
    with engine.connect() as connection:
        named = set(connection.execute(text(numbered)).scalars())
        conditions = {tuple(row) for row in connection.execute(text(some))}
        counts = {
            name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one()
            for name in tables
        }
    return {**tables, "of": (views, named, conditions, counts)}


def test_a_new_file_is_made_as_the_migrations_would_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, migrated = (make_engine(f"sqlite:///{tmp_path}/{name}.db") for name in ("a", "b"))
    migrate.upgrade(made)
    monkeypatch.setattr(migrate, "_made_at_once", lambda _: False)
    migrate.upgrade(migrated)
    assert described(made) == described(migrated)
    assert migrate.current(made) == migrate.HEAD


def test_head_is_the_newest_migration() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(migrate.alembic_config()).get_current_head() == migrate.HEAD


def test_rows_and_the_reader_survive_the_upgrade_from_the_first_schema(empty_url: str) -> None:
    from alembic import command

    from curate.db.readonly.login import ensure_reader
    from curate.db.readonly.query import run_query

    engine = make_engine(empty_url)
    with writing(engine) as connection:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        place = "'probe', 'active'"
        for statement in (
            "INSERT INTO datasets (id, name, root, pipeline, created_at) VALUES (7, 'set', "
            "'/v', '[]', 0)",
            "INSERT INTO videos (id, dataset_id, path, relpath, clip_stem, fingerprint, "
            "stage, status)"
            f" VALUES (8, 7, '/v/a', 'a', 'a', '1', {place})",
            "INSERT INTO clips (id, dataset_id, video_id, clip_index, start_pts, end_pts, "
            "stage, status)"
            f" VALUES (9, 7, 8, 0, 0, 1, {place})",
        ):
            connection.execute(text(statement))
        assert engine.dialect.name == "sqlite" or ensure_reader(connection) == ""
    migrate.upgrade(engine)
    statement = (
        "SELECT c.id, c.return_to, e.revision FROM clips c LEFT JOIN embeddings e ON "
        "e.clip_id = c.id"
    )
    assert run_query(empty_url, statement, 10).rows == [[9, None, None]]
    assert [d.folder for d in all_datasets(engine)] == ["7"]  # where its clips lie already


@pytest.mark.parametrize("measured", [False, True])
def test_clips_that_have_static_get_the_column_of_its_form(empty_url: str, measured: bool) -> None:
    from alembic import command

    engine = make_engine(empty_url)
    with writing(engine) as connection:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        if measured:
            connection.execute(text("ALTER TABLE clips ADD COLUMN static FLOAT"))
    migrate.upgrade(engine)
    with engine.connect() as connection:
        names = {column["name"] for column in inspect(connection).get_columns("clips")}
    assert ("motion_form" in names) == measured


def test_rows_of_before_picks_are_picked_by_nobody_and_answers_are_kept(empty_url: str) -> None:
    from alembic import command

    engine = make_engine(empty_url)
    with writing(engine) as connection:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        for statement in (
            "INSERT INTO datasets (id, name, root, pipeline, created_at) VALUES (7, 's', '/v', "
            "'[]', 0)",
            "INSERT INTO videos (id, dataset_id, path, relpath, clip_stem, fingerprint, stage, "
            "status) VALUES (8, 7, '/v/a', 'a', 'a', '1', 'done', 'kept')",
            "INSERT INTO clips (id, dataset_id, video_id, clip_index, start_pts, end_pts, stage, "
            "status) VALUES (9, 7, 8, 0, 0, 1, 'done', 'kept')",
        ):
            connection.execute(text(statement))
        command.upgrade(config, "0020")
        connection.execute(text("INSERT INTO answers VALUES (9, 'ask', 'r1', 'paid for', 5)"))
    migrate.upgrade(engine)
    with writing(engine) as connection:
        for table in ("clips", "clips_view"):
            row = connection.execute(text(f"SELECT id, status, picked FROM {table}")).one()
            assert tuple(row) == (9, "kept", None)
        connection.execute(text("INSERT INTO answers VALUES (9, 'ask', 'r1-0-5', 'a window', 6)"))
        requests = connection.execute(text("SELECT request FROM answers ORDER BY created_at"))
        assert requests.scalars().all() == ["r1", "r1-0-5"]
        connection.execute(text("DELETE FROM clips"))
        assert connection.execute(text("SELECT count(*) FROM answers")).scalar() == 0


def test_options_of_datasets_are_those_that_they_began_with(empty_url: str) -> None:
    from alembic import command

    engine = make_engine(empty_url)
    ask = {"stage": "ask", "price_in": 2.0, "price_out": 8.0, "model": "m"}
    steps = [{"stage": "probe"}, {"stage": "ocr", "text_score": 0.5}, {"filter": "f"}, ask]
    with writing(engine) as connection:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0015")
        connection.execute(
            text(
                "INSERT INTO datasets (name, root, pipeline, created_at) VALUES ('s', '/', :p, 0)"
            ),
            {"p": json.dumps(steps)},
        )
    migrate.upgrade(engine)
    price = {"input": 2.0, "output": 8.0}
    changed = {"stage": "ask", "model": "m", "price": price, "prompt_first": False}
    ocr = {**steps[1], "frames": 1, "quick_test": False}
    assert all_datasets(engine)[0].frozen == [steps[0], ocr, steps[2], changed]


def test_upgrading_twice_does_nothing(empty_url: str) -> None:
    engine = make_engine(empty_url)
    assert migrate.current(engine) is None
    migrate.ensure(engine)
    migrate.ensure(engine)
    migrate.upgrade(engine)
    assert migrate.current(engine) == migrate.HEAD


def test_a_schema_of_another_version_is_refused_with_the_command(empty_url: str) -> None:
    engine = make_engine(empty_url)
    migrate.ensure(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(SchemaOutdated, match="curate db upgrade"):
        migrate.ensure(engine)


def test_a_newer_schema_asks_for_a_newer_curate_and_is_left_alone(empty_url: str) -> None:
    engine = make_engine(empty_url)
    migrate.ensure(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for command in (migrate.ensure, migrate.upgrade):
        with pytest.raises(SchemaNewer, match=r"schema 9999.*Install that version here") as error:
            command(engine)
        assert "curate db upgrade" not in str(error.value)
    assert migrate.current(engine) == "9999"


def test_two_hosts_may_migrate_at_once(empty_url: str) -> None:
    engines = [make_engine(empty_url) for _ in range(2)]
    threads = [threading.Thread(target=migrate.upgrade, args=(e,)) for e in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert migrate.current(engines[0]) == migrate.HEAD


def test_an_unknown_database_is_a_service_error_without_the_password() -> None:
    with pytest.raises(ServiceError) as error:
        make_engine("mysql://me:secret@host/db")
    assert "SQLite and PostgreSQL" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_server_that_is_not_there_is_a_service_error_without_the_password() -> None:
    with pytest.raises(ServiceError) as error:
        migrate.current(make_engine("postgresql://me:secret@127.0.0.1:1/db"))
    assert "secret" not in str(error.value)
    assert error.value.exit_code == 4


def test_a_missing_driver_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def without_psycopg(name: str, *rest: object, **more: object) -> object:
        if name.split(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with pytest.raises(PackageMissing, match=r"pip install 'psycopg\[binary\]"):
        make_engine("postgresql://u@h/d")
