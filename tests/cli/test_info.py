"""stages, config, doctor: what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from curate.cli.shared.pipelines import resolve
from curate.configs.errors import PackageMissing
from curate.tasks.registry import stages
from tests.cli.conftest import Call, Filled


def test_stages_lists_every_stage_in_the_order_of_the_line(curate: Call) -> None:
    found = curate("stages", "--json").json
    assert {s["stage"] for s in found} == set(stages())
    assert [s["stage"] for s in found][:3] == ["probe", "split", "dedup"]
    flow = next(c for s in found for c in s["columns"] if c["column"] == "flow")
    assert flow["description"]
    assert all(s["description"].endswith(".") for s in found), "whole sentences, not lines of code"
    assert "probe" in curate("stages").out


def test_one_stage_has_its_options_with_ranges(curate: Call) -> None:
    found = {o["option"]: o for o in curate("stages", "split", "--json").json["options"]}
    assert found["min_seconds"]["default"] == 2
    assert found["detector"]["range"].startswith("adaptive")
    assert "min_seconds" in curate("stages", "split").out


def test_every_option_of_every_stage_is_described(curate: Call) -> None:
    for name in stages():
        for option in curate("stages", name, "--json").json["options"]:
            assert option["description"], f"{name}.{option['option']}"


def test_a_stage_that_cannot_run_says_why(curate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_options: object) -> None:
        raise PackageMissing(what="ocr", package="rapidocr", install="pip install it")

    monkeypatch.setattr(stages()["ocr"], "check", missing)
    assert "pip install it" in curate("stages", "ocr", "--json").json["available"]


def test_config_tells_where_each_value_is_from(
    curate: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_LEASE_SECONDS", "30")
    monkeypatch.setenv("CURATE_BROKER_URL", "redis://me:secret@host/0")
    result = curate("config", "--set", "cut.crf=20", "--json")
    settings = {s["setting"]: s for s in result.json["settings"]}
    values = {v["option"]: (v["value"], v["source"]) for v in result.json["pipeline"]}
    assert settings["CURATE_LEASE_SECONDS"]["source"] == "environment"
    assert settings["CURATE_MAX_ATTEMPTS"]["source"] == "default"
    assert "secret" not in result.out
    assert values["cut.crf"] == (20, "--set")
    assert values["split.max_seconds"] == (20, "the default pipeline")
    assert values["cut.preset"] == ("veryfast", "default")


def test_config_for_people(curate: Call) -> None:
    assert "cut.preset" in curate("config").out


def test_yaml_of_config_is_a_file_with_the_same_meaning(curate: Call, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        curate("config", "--set", "ocr.enabled=true", "--set", "split.max_seconds=7", "--yaml").out
    )
    assert yaml.safe_load(file.read_text()).keys() == {"pipeline"}
    asked = resolve(None, ["ocr.enabled=true", "split.max_seconds=7"], ready=False).pipeline
    assert resolve(file, ready=False).pipeline.frozen() == asked.frozen()


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
