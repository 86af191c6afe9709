"""Which pipeline is in force, and what tells two apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.cli import pipeline as cli_pipeline
from curate.cli.pipeline import differences, only_filters_differ, resolve
from curate.configs.errors import ConfigError, FilterError, PackageMissing
from curate.tasks.registry import stages
from curate.tasks.stage import Scorer, StageOptions

Write = Callable[[str], Path]


@pytest.fixture
def file(tmp_path: Path) -> Write:
    """Writes a pipeline file."""

    def write(steps: str) -> Path:
        path = tmp_path / "pipeline.yaml"
        path.write_text(f"pipeline: [{steps}]")
        return path

    return write


def names(config: Path | None, *sets: str) -> list[str]:
    return [s.name for s in resolve(config, sets, ready=False).pipeline.steps]


def test_the_packaged_default() -> None:
    assert names(None) == ["probe", "split", "dedup", "unique", "motion", "not_black", "cut"]


def test_set_switches_a_stage_on_with_its_filter() -> None:
    assert names(None, "ocr.enabled=true") == [
        "probe", "split", "dedup", "unique", "motion", "not_black", "ocr", "little_text", "cut",
    ]  # fmt: skip


def test_a_flag_comes_before_the_file_before_the_default(file: Write) -> None:
    path = file("probe, {stage: split, min_seconds: 3, max_seconds: 9}, cut")
    resolved = resolve(path, ["split.min_seconds=4"], ready=False)
    options = resolved.pipeline.stage("split").options.model_dump()
    assert (options["min_seconds"], options["max_seconds"]) == (4, 9)
    assert resolved.origin[("split", "min_seconds")] == "--set"
    assert resolved.origin[("split", "max_seconds")] == str(path)
    assert ("split", "detector") not in resolved.origin


class Joiner(Scorer[StageOptions]):
    """Joins by itself."""

    name = "joiner"
    columns = {}
    default_step = True


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("probe, split, cut", ["probe", "split", "joiner", "cut"]),
        ("probe, split", ["probe", "split", "joiner"]),
        ("probe, split, joiner, motion, cut", ["probe", "split", "joiner", "motion", "cut"]),
        ("probe, split, {stage: joiner, enabled: false}", ["probe", "split"]),
    ],
)
def test_a_default_step_joins_before_cut(
    file: Write, monkeypatch: pytest.MonkeyPatch, steps: str, expected: list[str]
) -> None:
    catalog = {**stages(), "joiner": Joiner}
    monkeypatch.setattr(cli_pipeline, "stages", lambda: catalog)
    assert names(file(steps)) == expected


def test_a_filter_is_checked_where_it_stands(file: Write) -> None:
    with pytest.raises(FilterError, match="motion"):
        resolve(file("probe, split, {filter: moving, where: flow > 1}"))


@pytest.mark.parametrize("text", ["", "pipeline: 3", "pipeline: [split, probe]", "a: b", "pipeline: [{x: 1}]", "\t:"])
def test_what_is_not_a_pipeline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        resolve(path)


def test_a_stage_that_cannot_run_is_refused_unless_only_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_options: object) -> None:
        raise PackageMissing(what="cut", package="x", install="pip install x")

    monkeypatch.setattr(stages()["cut"], "check", missing)
    with pytest.raises(PackageMissing):
        resolve(None)
    assert resolve(None, ready=False)


A = [{"stage": "probe"}, {"stage": "cut", "crf": 18}, {"filter": "f", "where": "a"}]


@pytest.mark.parametrize(
    ("changed", "what", "only_filters"),
    [
        (A, [], True),
        ([A[0], A[1] | {"crf": 20}, A[2]], ["cut.crf 18 → 20"], False),
        ([A[0], A[1], A[2] | {"where": "b"}], ["f.where a → b"], True),
        (A[:2], ["f removed"], True),
        ([*A, {"stage": "ocr"}], ["ocr added"], False),
        ([A[1], A[0], A[2]], ["the order of the steps"], False),
        ([A[0], A[2], A[1]], ["the order of the steps"], True),
    ],
)
def test_differences(changed: list[dict[str, object]], what: list[str], only_filters: bool) -> None:
    assert differences(A, changed) == what
    assert only_filters_differ(A, changed) is only_filters
