"""config: what is in force, and where each value is from."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from curate.worker.session.pipelines import resolve
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
    assert values["cut.preset"] == ("balanced", "default")


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


def test_yaml_of_a_dataset_is_its_own_pipeline_and_run_takes_it_back(
    curate: Call, videos: Path, tmp_path: Path
) -> None:
    made = curate("enqueue", str(videos), "--set", "split.max_seconds=7", "--name", "pets")
    assert made.code == 0, made.err
    assert curate("refilter", "pets", "--set", "not_black.where=black <= 0.3").code == 0
    file = tmp_path / "p.yaml"
    file.write_text(curate("config", "pets", "--yaml").out)
    assert "# The pipeline of dataset pets." in file.read_text()
    again = curate("enqueue", str(videos), "--config", str(file), "--name", "pets")
    assert (again.code, "1 unchanged" in again.out) == (0, True), again.err
    values = {v["option"]: v for v in curate("config", "pets", "--json").json["pipeline"]}
    assert values["split.max_seconds"]["value"] == 7
    assert values["not_black.where"] == {
        "option": "not_black.where", "value": "black <= 0.3", "source": "dataset pets",
    }  # fmt: skip


def test_yaml_of_a_dataset_takes_changes(curate: Call, videos: Path) -> None:
    assert curate("enqueue", str(videos), "--name", "pets").code == 0
    said = curate("config", "pets", "--set", "cut.crf=18", "--yaml").out
    assert "crf: 18" in said.splitlines()[-1] or "    crf: 18\n" in said


def test_a_dataset_and_a_file_are_too_much(curate: Call, videos: Path) -> None:
    assert curate("enqueue", str(videos), "--name", "pets").code == 0
    assert curate("config", "pets", "--config", "scores.yaml").code == 2
    assert curate("config", "nothere", "--yaml").code == 2


def test_presets_are_listed_with_what_they_are_for(curate: Call) -> None:
    said = curate("config", "--presets").out
    rows = curate("config", "--presets", "--json").json
    assert [row["preset"] for row in rows] == [
        "default.yaml", "dense.yaml", "quality.yaml", "scores.yaml", "t2v-final.yaml",
        "t2v-v1.yaml",
    ]  # fmt: skip
    for row in rows:
        assert f"{row['preset']}: {row['about']}" in said
        assert row["stages"][:2] == ["probe", "split"]
        assert curate("config", "--config", row["preset"], "--yaml").code == 0


def test_another_pipeline_after_a_refilter_is_refused_without_advice_to_undo_it(
    curate: Call, videos: Path, tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(curate("config", "--yaml").out)
    words = ("enqueue", str(videos), "--config", str(file), "--name", "pets")
    assert curate(*words).code == 0
    assert curate("refilter", "pets", "--set", "not_black.where=black <= 0.3").code == 0
    done = curate(*words)
    assert done.code == 3
    assert "not_black.where black <= 0.3 → black <= 0.5" in done.err
    assert "leave out --config" in done.err
    assert "curate refilter pets --config" not in done.err
