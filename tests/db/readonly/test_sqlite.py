"""`curate sql` on SQLite: without the first fence, the engine lets nothing happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import ConfigError, SqlFailed, SqlRefused, SqlTimeout
from curate.db.readonly import query
from tests.db.readonly.attack import attack

HOSTILE = {
    "DELETE FROM clips": SqlRefused,
    "UPDATE clips SET flow = 9": SqlRefused,
    "INSERT INTO clips (flow) VALUES (9)": SqlRefused,
    "REPLACE INTO clips (id, flow) VALUES (1, 9)": SqlRefused,
    "WITH a AS (SELECT 1) DELETE FROM clips": SqlRefused,
    "DELETE FROM clips RETURNING id": SqlRefused,
    "DROP TABLE clips": SqlRefused,
    "ALTER TABLE clips ADD COLUMN x": SqlRefused,
    "CREATE TABLE x (a)": SqlRefused,
    "CREATE TEMP TABLE x AS SELECT * FROM clips": SqlRefused,
    "CREATE VIEW v AS SELECT 1": SqlRefused,
    "CREATE VIRTUAL TABLE v USING fts5(a)": SqlRefused,
    "SELECT 1; DELETE FROM clips": SqlRefused,
    "ATTACH '{folder}/new.db' AS x": SqlRefused,
    "ATTACH '{secret}' AS x": SqlRefused,
    "PRAGMA writable_schema = ON": SqlRefused,
    "PRAGMA query_only = OFF": SqlRefused,
    "PRAGMA journal_mode = DELETE": SqlRefused,
    "SELECT * FROM pragma_database_list": SqlRefused,
    "SELECT * FROM pragma_journal_mode": SqlRefused,
    "VACUUM": SqlRefused,
    "VACUUM INTO '{folder}/copy.db'": ConfigError,
    "BEGIN IMMEDIATE": SqlRefused,
    "SAVEPOINT x": SqlRefused,
    "REINDEX": SqlRefused,
    "ANALYZE": SqlRefused,
    "SELECT load_extension('{secret}')": SqlRefused,
    "SELECT readfile('{secret}')": SqlFailed,
    "SELECT writefile('{folder}/new', 'x')": SqlFailed,
    "SELECT fts3_tokenizer('x')": ConfigError,
    "SELECT printf('%.*c', 900000000, 'x')": SqlRefused,
    "SELECT format('%.*c', 900000000, 'x')": SqlRefused,
    "SELECT zeroblob(1000000000)": SqlRefused,
    "SELECT hex(randomblob(1000000000))": SqlRefused,
    "SELECT replace(replace(replace('aaaaaaaa', 'a', '{long}'), 'a', '{long}'), 'a', "
    "'{long}')": SqlFailed,
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT "
    "count(*) FROM a": SqlTimeout,
    "SELECT count(*) FROM clips a, clips b, clips c, clips d, clips e, clips f, "
    "clips g": SqlTimeout,
    "SELECT group_concat(a.codec || '{long}') FROM clips a, clips b, clips c, clips d, clips e, "
    "clips f": SqlTimeout,
    # one call of a function that takes hours: the engine cannot stop it, the kill does
    "SELECT instr(replace('{long}', 'a', '{short}{short}'), replace('{long}', 'a', '{short}') || "
    "'b')": SqlTimeout,
}  # fmt: skip


@pytest.mark.parametrize("statement", HOSTILE)
def test_sqlite_lets_nothing_happen(
    statement: str, sqlite_filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "_KILL_GRACE_SECONDS", 1)
    (tmp_path / "files").mkdir()
    attack(sqlite_filled, statement, HOSTILE[statement], tmp_path / "files")
