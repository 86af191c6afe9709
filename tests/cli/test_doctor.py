"""doctor: what is there, and a fix for what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call, Filled


def test_doctor_finds_this_host_healthy(curate: Call, home: Path) -> None:
    result = curate("doctor", "--json")
    found = {c["name"]: c for c in result.json}
    assert [c for c in result.json if c["result"] == "FAIL"] == []
    assert result.code == 0
    assert "libx264" in found["ffmpeg libraries"]["detail"]
    assert not home.exists()


def test_doctor_fails_with_4_and_a_fix(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CURATE_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/x")
    result = curate("doctor", "--json")
    assert result.code == 4
    assert {c["name"] for c in result.json if c["result"] == "FAIL"} == {"database", "broker"}
    assert all(c["fix"] for c in result.json if c["result"] == "FAIL")
    assert "secret" not in result.out


def test_doctor_sees_the_schema(curate: Call, filled: Filled) -> None:
    from sqlalchemy import text

    from curate.db.migrate import HEAD

    assert f"schema {HEAD}" in curate("doctor").out
    with filled.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    result = curate("doctor", "--json")
    assert (result.code, "curate db upgrade" in result.out) == (4, True)
    assert curate("status").code == 4
