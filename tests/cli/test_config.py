"""config: what is in force, and where each value is from."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from curate.cli.shared.pipelines import resolve
from tests.cli.conftest import Call


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
