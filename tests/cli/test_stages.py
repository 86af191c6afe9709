"""stages: each with its options, columns and whether it can run here."""

from __future__ import annotations

import pytest

from curate.configs.errors import PackageMissing
from curate.tasks.registry import stages
from tests.cli.conftest import Call


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


@pytest.mark.parametrize("width", [80, 120])
def test_no_name_of_a_column_is_broken(
    curate: Call, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = curate("stages").out.splitlines()
    assert max(map(len, lines[1:])) <= width
    shown = {word.strip(",") for line in lines for word in line.split()}
    assert {name for stage in stages().values() for name in stage.columns} <= shown
